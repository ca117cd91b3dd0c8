"""Bit fields, structures and GPT encodings, by their written rules."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.descriptors import gpt
from cca_arch.fields import Bits, Field, Member, Struct
from cca_arch.types import Gpi
from cca_platform.isa import frame


class Sample(Bits):
    """Two fields and a flag."""

    high = Field(63, 60)
    middle = Field(15, 4)
    flag = Field(0)


class TestBits:
    """A field reads and writes its own bits and no other."""

    @given(st.integers(0, (1 << 64) - 1), st.integers(0, 0xFFF))
    def test_replace(self, value: int, middle: int) -> None:
        """Replacing a field changes exactly its bits."""
        changed = Sample(value).replace(middle=middle)
        assert changed.middle == middle
        assert int(changed) & ~0xFFF0 == value & ~0xFFF0

    def test_too_wide(self) -> None:
        """A value that does not fit is refused with the width it has to fit."""
        with pytest.raises(ValueError, match="middle must fit 12 bits, not 0x1000"):
            Sample.make(middle=0x1000)

    def test_unknown(self) -> None:
        """A field that is not there is refused with those that are."""
        with pytest.raises(ValueError, match="Sample has no field 'low'; it has high, middle, flag"):
            Sample.make(low=1)

    def test_repr(self) -> None:
        """The representation names every field."""
        assert repr(Sample.make(high=1, flag=1)) == "Sample(0x1000000000000001: high=0x1, middle=0x0, flag=0x1)"


class TestStruct:
    """A structure packs members at their offsets, and zero everywhere else."""

    PAGE = Struct(
        "Page", 0x100, Member("a", 0, 8), Member("b", 8, 1), Member("c", 0x10, 8, count=3), Member("d", 0x40, 64)
    )

    @given(st.integers(0, 2**64 - 1), st.integers(0, 255), st.binary(min_size=64, max_size=64))
    def test_round_trip(self, a: int, b: int, d: bytes) -> None:
        """What is packed is unpacked, and gaps are zero."""
        data = self.PAGE.pack(a=a, b=b, c=(1, 2, 3), d=d)
        record = self.PAGE.unpack(data)
        assert (record.a, record.b, record.c, record.d) == (a, b, (1, 2, 3), d)
        assert data[9:16] == bytes(7)
        assert data[0x28:0x40] + data[0x80:] == bytes(0x18 + 0x80)

    def test_errors(self) -> None:
        """Short data, unknown members and members outside are refused."""
        with pytest.raises(ValueError, match="Page needs 0x100 bytes, not 0x10"):
            self.PAGE.unpack(bytes(16))
        with pytest.raises(ValueError, match="Page has no member 'z'"):
            self.PAGE.pack(z=1)
        with pytest.raises(ValueError, match="must hold its members in 0x8 bytes"):
            Struct("Small", 8, Member("x", 4, 8))


class TestGpt:
    """Descriptors of the granule protection tables (DDI 0487, RME)."""

    def test_encodings(self) -> None:
        """The published templates: all-NS is 0x9999..., a block of Root 0xA1, sizes 8 << (t - s) and 128 KiB."""
        assert gpt.l1_granules(Gpi.NON_SECURE) == 0x9999_9999_9999_9999
        assert gpt.l0_block(Gpi.ROOT) == 0xA1
        assert gpt.l0_table(0x8000_0000) == 0x8000_0003
        assert gpt.l1_contiguous(Gpi.REALM, 2) == 0x2B1
        assert gpt.l1_table_size(30) == 128 << 10
        assert gpt.l0_table_size(36, 30) == 512


class TestFrame:
    """Register files in memory."""

    def test_layout(self) -> None:
        """Registers do not overlap, vectors are 16 bytes at multiples of 16, and a REC has room for the file."""
        sizes = {f"v{number}": 16 for number in range(32)}
        places = [(frame.offset(name), sizes.get(name, 8)) for name in frame.EL1_FRAME]
        assert all(at + size <= following for (at, size), (following, _) in pairwise(places))
        assert all(at % size == 0 for at, size in places)
        assert places[-1][0] + 16 <= frame.EL1_FRAME_SIZE <= 0x600
