"""Files that are no programs are known by how they begin, and nothing else is taken for one."""

import gzip
import struct
from pathlib import Path

import pytest

from cca_arch.foreign import no_program

CODE = struct.pack("<4I", 0xD2800000, 0xD4000003, 0x14000000, 0xD65F03C0) * 4
PE = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0"
FILES = {
    "gzip": gzip.compress(CODE, mtime=0),
    "Mach-O": b"\xcf\xfa\xed\xfe\x0c\0\0\x01",
    "archive of object files": b"!<arch>\n/               0",
    "bitcode": b"BC\xc0\xde5\x14\0\0",
    "device tree": b"\xd0\x0d\xfe\xed\0\0\x10\0",
    "U-Boot": b"\x27\x05\x19\x56".ljust(64, b"\0"),
    "ZIP": b"PK\x03\x04\x14\0",
    "PE file": PE,
    "text": b"int main(void)\n{\n\treturn 0;\r\n}\n",
    "not machine code": "// gr\u00fc\u00dfe \u2713\n".encode() * 500,
    "convert it": b":10000000000080D2030000D4000000140000000000\n",
}


@pytest.mark.parametrize("name", FILES)
def test_formats(name: str) -> None:
    """The sentence names the kind of file, and says what to do."""
    sentence = no_program(FILES[name])
    assert sentence.startswith("is ") and name in sentence and ": " in sentence


@pytest.mark.parametrize(
    "data",
    [
        b"",
        CODE,
        bytes(4096),
        b"Hello, Realm!\n",  # too short to be told from code
        b"hello, hello, hello, hello",  # no line
        b"main:\n\tmov x0, #1\n\0\0\0",
        b"gr\xfc\xdfe, gr\xfc\xdfe, gr\xfc\xdfe\n",
        PE[:0x38] + b"ARM\x64" + PE[0x3C:],  # an arm64 Image of Linux
        b"MZ" + CODE,
    ],
)
def test_others(data: bytes) -> None:
    """Code, and what is too short to tell, can be a program."""
    assert not no_program(data)


def test_payloads() -> None:
    """No bundled payload is taken for something else."""
    payloads = list((Path(__file__).parents[2] / "realm_payloads" / "bin").glob("*.elf"))
    assert payloads and not any(no_program(path.read_bytes()) for path in payloads)
