"""Compressed programs are unpacked, one layer and up to a limit; what cannot be is refused with what to do."""

import bz2
import gzip
import lzma
import struct
import sys
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed import zboot

from cca_arch import lz4
from cca_arch.unpacking import UnpackError, unpacked

LIMIT = 1 << 20
IMAGE = bytes(56) + b"ARM\x64" + b"".join(number.to_bytes(4, "little") for number in range(3000))
LEGACY, FRAME, STORED = 0x184C_2102, 0x184D_2204, 1 << 31
TEXT = b"R" * 32 + b"one! one! one! one! two? two? two?     la la la la la Realm lab ends "
TEXT_LZ4 = bytes.fromhex(
    "02214c182d0000001f5201000c5b6f6e65212005004774776f3f0500000100296c610300f0005265616c6d206c616220656e647320"
)
"""What `lz4 -l -9` makes of it: copies that overlap themselves, and long ones."""


def word(number: int) -> bytes:
    """A word, little-endian."""
    return struct.pack("<I", number)


def literals(data: bytes) -> bytes:
    """An LZ4 block of literals only."""
    if len(data) < 15:
        return bytes([len(data) << 4]) + data
    rest = len(data) - 15
    return b"\xf0" + b"\xff" * (rest // 255) + bytes([rest % 255]) + data


def legacy(*blocks: bytes) -> bytes:
    """An LZ4 file of the legacy kind."""
    return word(LEGACY) + b"".join(word(len(block)) + block for block in blocks)


def frame(*blocks: bytes, flags: int = 0x60, largest: int = 4, head: bytes = b"", tail: bytes = b"") -> bytes:
    """An LZ4 frame; the checksums in it are made up."""
    written = b"".join(word(len(block)) + block + (bytes(4) if flags & 0x10 else b"") for block in blocks)
    return word(FRAME) + bytes([flags, largest << 4]) + head + b"\x55" + written + bytes(4) + tail


def zstd(data: bytes) -> bytes:
    """A Zstandard frame: a window of 1 MiB, blocks that are stored, no checksum."""
    parts = [data[at : at + 0x1_0000] for at in range(0, len(data), 0x1_0000)] or [b""]
    blocks = [((len(part) << 3 | (part is parts[-1])).to_bytes(3, "little") + part) for part in parts]
    return bytes.fromhex("28b52ffd0050") + b"".join(blocks)


PACKED = {
    "gzip": gzip.compress(IMAGE, mtime=0),
    "xz": lzma.compress(IMAGE, check=lzma.CHECK_CRC32),
    "lzma": lzma.compress(IMAGE, lzma.FORMAT_ALONE, preset=9),
    "bzip2": bz2.compress(IMAGE),
    "lz4 (legacy frames)": legacy(literals(IMAGE)),
    "lz4": frame(literals(IMAGE)),
}


def refusal(data: bytes, limit: int = LIMIT) -> str:
    """What is said of a file."""
    with pytest.raises(UnpackError) as caught:
        unpacked(data, limit)
    return str(caught.value)


class TestFormats:
    """Every format gives the bytes that were packed."""

    @pytest.mark.parametrize("name", PACKED)
    def test_contents(self, name: str) -> None:
        """Up to the limit and not a byte more; what is behind, such as the size of the contents, counts for nothing."""
        data = PACKED[name]
        assert unpacked(data, len(IMAGE)) == unpacked(data + word(len(IMAGE)), LIMIT) == IMAGE
        assert refusal(data, len(IMAGE) - 1).startswith(f"is a {name} file with more than 0 MiB in it")

    @pytest.mark.parametrize("name", PACKED)
    def test_rows(self, name: str) -> None:
        """Streams one after the other are one file, as with the tools."""
        assert unpacked(PACKED[name] * 2, LIMIT) == IMAGE * 2

    @pytest.mark.parametrize("name", PACKED)
    def test_truncated(self, name: str) -> None:
        """A file that ends too early is never taken for a whole one."""
        data = PACKED[name]
        for size in (len(data) - 1, len(data) - 5, len(data) // 2, 20):
            assert refusal(data[:size]) == f"is a truncated {name} file: copy it again"

    @pytest.mark.parametrize("name", ["gzip", "xz", "lzma", "bzip2"])
    def test_damaged(self, name: str) -> None:
        """What the library says is in the message."""
        data = bytearray(PACKED[name])
        data[13:600] = bytes(587)
        assert refusal(bytes(data)).startswith(f"is a damaged {name} file (")

    def test_checksum(self) -> None:
        """gzip: checksum and size are checked."""
        for at, what in ((-8, "data"), (-4, "length")):
            data = bytearray(PACKED["gzip"])
            data[at] ^= 1
            assert f"incorrect {what} check): copy it again" in refusal(bytes(data))

    def test_others(self) -> None:
        """What is not compressed is left as it is; lzop is only known."""
        for data in (b"", b"MZ", IMAGE, b"\x7fELF" + IMAGE):
            assert unpacked(data, 4) is data
        assert refusal(b"\x89LZO\0\r\n\x1a\n") == "is compressed with lzop: unpack it first, as with `lzop -d`"

    @pytest.mark.parametrize("inner", [*PACKED.values(), zstd(IMAGE)])
    def test_layers(self, inner: bytes) -> None:
        """One layer is unpacked."""
        assert refusal(gzip.compress(inner)).startswith("is compressed with gzip, and what is in it with ")

    @given(st.sampled_from(list(PACKED.values())), st.integers(8, 400), st.binary(min_size=1, max_size=40))
    def test_no_other_exception(self, data: bytes, at: int, noise: bytes) -> None:
        """Whatever the bytes are: contents within the limit, or an UnpackError."""
        with suppress(UnpackError):
            assert len(unpacked(data[:at] + noise + data[at + len(noise) :], LIMIT)) <= LIMIT


class TestLimit:
    """A small file can stand for any amount."""

    @pytest.mark.parametrize(
        "pack", [lambda data: gzip.compress(data, 1), bz2.compress, lambda data: lzma.compress(data, preset=0)]
    )
    def test_bomb(self, pack) -> None:
        """No more is unpacked than the limit and a step."""
        packed = pack(bytes(24 << 20))
        tracemalloc.start()
        try:
            assert "with more than 1 MiB in it: give a smaller program" in refusal(packed)
            assert tracemalloc.get_traced_memory()[1] < 16 << 20  # bzip2 has tables of 4 MB
        finally:
            tracemalloc.stop()

    def test_lz4_bomb(self) -> None:
        """A copy of any length is not made before its length is checked, and a block has a limit of its own."""
        copy = b"\x1fx\x01\x00" + b"\xff" * (9 << 13) + b"\x00"
        assert "with more than 1 MiB in it" in refusal(legacy(*[copy[:0x1000] + b"\x00"] * 2))
        assert "a block has more than 8,388,608 bytes" in refusal(legacy(copy), 1 << 30)
        assert "a block has more than 65,536 bytes" in refusal(frame(copy), 1 << 30)

    def test_once(self) -> None:
        """Contents are in memory once, beside the compressed file."""
        size = 32 << 20
        packed = gzip.compress(bytes(size), 1)
        tracemalloc.start()
        try:
            assert len(unpacked(packed, size)) == size
            assert tracemalloc.get_traced_memory()[1] < 1.5 * size
        finally:
            tracemalloc.stop()


class TestLz4:
    """Blocks, frames and their limits."""

    def test_frame(self) -> None:
        """Stored blocks, checksums, the size of the contents, and copies from the block before."""
        linked = b"\x00\x03\x00\x10!"  # four bytes from three back, then one literal
        data = frame(literals(b"abc"), linked, flags=0x40)
        assert unpacked(data, 99) == b"abcabca!"
        data = frame(literals(b"abc"), flags=0x7C, head=struct.pack("<Q", 3), tail=bytes(4))
        assert unpacked(data, 99) == b"abc"
        stored = word(STORED | 3) + b"abc"
        assert unpacked(word(FRAME) + b"\x60\x40\x55" + stored + bytes(4), 99) == b"abc"
        skipped = word(0x184D_2A53) + word(5) + b"hello"
        assert unpacked(data + skipped + data, 99) == b"abcabc"

    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (frame(b"\x00\x01\x00"), "a copy comes from before its start"),
            (frame(literals(b"abc"), b"\x00\x03\x00\x10!"), "a copy comes from before its start"),
            (legacy(b"\x10a\x00\x00"), "a copy comes from before its start"),
            (legacy(b"\x50abc"), "a block ends within a sequence"),
            (frame(flags=0x61), "its frame needs a dictionary, or has another version"),
            (frame(flags=0xA0), "its frame needs a dictionary, or has another version"),
            (frame(largest=3), "its frame needs a dictionary, or has another version"),
            (frame(b"\x10a", flags=0x68, head=struct.pack("<Q", 2)), "it has 1 bytes in it, not the 2 that it names"),
        ],
    )
    def test_damaged(self, data: bytes, what: str) -> None:
        """Copies from nowhere, sizes that contradict each other, and what no version has."""
        assert what in refusal(data)

    def test_kernel(self) -> None:
        """A file of the tool; the kernel's build appends the size of the contents to some."""
        assert unpacked(TEXT_LZ4, 999) == TEXT
        assert lz4.legacy(legacy(literals(b"abc")) + word(3), 99) == b"abc"
        with pytest.raises(EOFError):
            lz4.legacy(legacy(literals(b"abc")) + word(4), 99)


class TestZboot:
    """vmlinuz.efi: the payload that the header names."""

    @pytest.mark.parametrize(
        ("kind", "name"), [(b"gzip", "gzip"), (b"lz4", "lz4 (legacy frames)"), (b"lzma", "lzma"), (b"xzkern", "xz")]
    )
    def test_kinds(self, kind: bytes, name: str) -> None:
        """Behind the payload, if it is not gzip, there is the size of the Image."""
        size = b"" if name == "gzip" else word(len(IMAGE))
        assert unpacked(zboot(IMAGE, kind, PACKED[name], size + bytes(40)), LIMIT) == IMAGE
        assert unpacked(gzip.compress(zboot(IMAGE, kind, PACKED[name], size)), LIMIT) == IMAGE
        cut = PACKED[name][:-1]
        assert refusal(zboot(IMAGE, kind, cut)) == f"is a truncated EFI zboot kernel ({name}): copy it again"

    def test_size(self) -> None:
        """A size that is not that of the contents."""
        what = "is an EFI zboot kernel that unpacks to 12,060 bytes, not to the 12,061 that it names: build or copy"
        assert refusal(zboot(IMAGE, b"xzkern", PACKED["xz"], word(len(IMAGE) + 1))).startswith(what)

    def test_truncated(self) -> None:
        """A payload that the file does not hold, or a header that ends early."""
        data = zboot(IMAGE, behind=b"")
        what = f"is a truncated EFI zboot kernel: its payload ends at {len(data):#x}, the file at {len(data) - 9:#x}"
        assert refusal(data[:-9]).startswith(what)
        assert refusal(data[:12]).startswith("is a truncated EFI zboot kernel: its payload ends at 0x200")

    def test_processor(self) -> None:
        """Other processors have zboot kernels, too."""
        assert refusal(zboot(IMAGE[4:])).startswith("is an EFI zboot kernel without an arm64 Image in it")

    @pytest.mark.parametrize("payload", [b"\x89LZO\0\r\n\x1a\n", b"code", zboot(IMAGE)])
    def test_unknown(self, payload: bytes) -> None:
        """What nothing here unpacks, as lzo, and a zboot kernel in another."""
        refused = refusal(zboot(IMAGE, b"lzo", payload))
        assert "lzo" in refused


class TestZstd:
    """Zstandard is in the standard library from Python 3.14 on; before, the package zstandard is asked for."""

    def test_contents(self) -> None:
        """Streams, limit and truncated files are as with the others."""
        if sys.version_info < (3, 14):
            pytest.importorskip("zstandard")
        data = zstd(IMAGE)
        assert unpacked(data, LIMIT) == IMAGE
        assert unpacked(data * 2, LIMIT) == IMAGE * 2
        assert unpacked(zboot(IMAGE, b"zstd22", data, word(len(IMAGE))), LIMIT) == IMAGE
        assert refusal(data[:-1]) == "is a truncated zstd file: copy it again"
        assert refusal(data[:6] + b"\xff" * 99).startswith("is a damaged zstd file (")
        assert refusal(data, 100).startswith("is a zstd file with more than")

    def test_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without either, the message says what to install, and how to do without."""
        for name in ("compression", "compression.zstd", "zstandard"):
            monkeypatch.setitem(sys.modules, name, None)
        assert refusal(zstd(IMAGE)) == (
            "is compressed with zstd, which needs Python 3.14 or the package zstandard: "
            "`pip install zstandard`, or unpack it first, as with `unzstd`"
        )
