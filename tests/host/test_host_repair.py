"""The repair of a stranger's ELF is bounded in memory and room, and cannot take the process down."""

import resource
import struct

import pytest

from cca_host.kvmtool.loader import LoadError, load
from cca_host.kvmtool.repair import repair
from realmlab.payloads import find_payload

HELLO = find_payload("hello").read_bytes()
(SECTIONS,) = struct.unpack_from("<Q", HELLO, 0x28)
(COUNT,) = struct.unpack_from("<H", HELLO, 0x3C)
SH_OFFSET, SH_SIZE, SH_ADDRALIGN, SH_ENTSIZE = 0x18, 0x20, 0x30, 0x38


def changed(section: int, field: int, value: int) -> bytes:
    """The payload hello with another value in a section header."""
    data = bytearray(HELLO)
    struct.pack_into("<Q", data, SECTIONS + 64 * section + field, value)
    return bytes(data)


class TestBounds:
    """Headers may ask for anything."""

    @pytest.mark.parametrize("field", [SH_OFFSET, SH_SIZE, SH_ADDRALIGN, SH_ENTSIZE])
    @pytest.mark.parametrize("value", [1 << 31, (1 << 64) - 1])
    def test_each_field(self, field: int, value: int) -> None:
        """A repair keeps the program and adds at most 1 MiB, or says that it cannot."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            mended = repair(changed(COUNT - 2, field, value))
        except LoadError as error:
            assert f"headers ask for more than a repair of {len(HELLO):,} bytes may take (1 GiB of" in str(error)
        else:
            assert len(mended) <= len(HELLO) + (1 << 20)
            assert list(load(mended, 64 << 20).pages()) == list(load(HELLO, 64 << 20).pages())
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (100 << 10)  # KiB

    def test_some_is_refused(self) -> None:
        """The sections after one of 2 GiB would need a file of that size."""
        with pytest.raises(LoadError, match="headers ask for more than a repair"):
            repair(changed(1, SH_OFFSET, 1 << 31))

    def test_no_program(self) -> None:
        """What is no program for this machine is not handed on to lief at all."""
        with pytest.raises(LoadError, match=r"^the payload is a truncated ELF"):
            repair(HELLO[:100])
