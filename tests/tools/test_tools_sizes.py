"""Sizes and payload names as people write them."""

from pathlib import Path

import pytest

from cca_platform.errors import MachineError
from realmlab.payloads import find_payload, payload_names
from realmlab.sizes import format_size, parse_size


class TestSizes:
    """A size is a number with a binary unit."""

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("64M", 64 << 20),
            ("1g", 1 << 30),
            ("512KiB", 512 << 10),
            ("4096", 4096),
            ("0x1000", 4096),
            (7, 7),
            ("8MB", 8 << 20),
        ],
    )
    def test_parse(self, text: str | int, size: int) -> None:
        """Units are powers of 1024, in any case."""
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "64 T", "0b1"])
    def test_refuse(self, text: str) -> None:
        """What is no size is refused with an example of one."""
        with pytest.raises(MachineError, match=r"a size must be a number with K, M or G, such as 64M, not "):
            parse_size(text)

    @pytest.mark.parametrize(
        ("size", "text"), [(64 << 20, "64 MiB"), (3 << 30, "3 GiB"), (4096, "4 KiB"), (5, "5 B"), (0, "0 B")]
    )
    def test_format(self, size: int, text: str) -> None:
        """The largest unit that divides."""
        assert format_size(size) == text


class TestPayloads:
    """A payload is a file, or the name of one that comes along."""

    def test_name(self) -> None:
        """A known name gives its file."""
        assert find_payload("hello").name == "hello.elf" and "hello" in payload_names()

    def test_file_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file in the current folder hides the name."""
        monkeypatch.chdir(tmp_path)
        Path("hello").write_bytes(b"mine")
        assert find_payload("hello").read_bytes() == b"mine"

    def test_far_name(self) -> None:
        """A name that is like no other lists the names."""
        with pytest.raises(
            MachineError, match=r"must be a file or the name of a payload, not 'zzz'; the names are .*hello"
        ):
            find_payload("zzz")
