"""``realmlab inspect``: what an ELF holds, and mending one."""

import json
import struct
from pathlib import Path

import pytest

import realmlab
from cca_tools.cli import main
from realmlab.payloads import find_payload


class TestInspect:
    """The command on good, broken and missing files."""

    def test_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Entry, sections and symbols are shown by address."""
        assert main(["inspect", "hello"]) == 0
        output = capsys.readouterr().out
        assert "entry 0x80000000 (_start)" in output
        assert ".text" in output

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """JSON has the same facts."""
        assert main(["inspect", "hello", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["entry"] == 0x8000_0000
        assert any(symbol["name"] == "_start" for symbol in found["symbols"])

    def test_repair(self, tmp_path: Path) -> None:
        """A file whose section header table is nonsense gets one that holds, and still runs."""
        broken, mended = tmp_path / "broken.elf", tmp_path / "mended.elf"
        data = bytearray(find_payload("hello").read_bytes())
        struct.pack_into("<Q", data, 0x28, 1 << 40)  # e_shoff
        broken.write_bytes(data)
        assert main(["inspect", str(broken), "--repair", str(mended)]) == 0
        with realmlab.Machine() as machine:
            assert b"Hello from Realm EL1" in machine.run_realm(mended).console

    @pytest.mark.parametrize("content", [None, b"", b"not an ELF at all, but long enough to be read as one"])
    def test_bad(self, content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """What is no ELF is one line on stderr and status 2."""
        path = tmp_path / "bad.elf"
        if content is not None:
            path.write_bytes(content)
        assert main(["inspect", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
