"""Validity of the list registers and ICH_HCR_EL2 that a Host enters with."""

import pytest

from cca_arch.sysregs import IchLr
from cca_rmm.world.gic import HCR_PERMITTED, lrs_valid


def lr(**fields: int) -> int:
    """A pending list register for SPI 32 unless the fields say otherwise."""
    return IchLr.make(**{"vintid": 32, "state": 1, "group": 1, "priority": 0xA0, **fields})


class TestListRegisters:
    """Only virtual interrupts, each once."""

    def test_hcr_mask(self) -> None:
        """The Host may set UIE, LRENPIE, NPIE, the group enables and TDIR."""
        assert HCR_PERMITTED == 0x40FE

    @pytest.mark.parametrize("state", [1, 2, 3])
    def test_hw(self, state: int) -> None:
        """HW must be zero in every state that is not invalid."""
        assert lrs_valid([lr(state=state)])
        assert not lrs_valid([lr(state=state, hw=1)])

    @pytest.mark.parametrize(
        ("fields", "valid"),
        [
            ({"pintid": 1 << 9}, True),
            ({"pintid": 1}, False),
            ({"priority": 0xF8}, True),
            ({"priority": 0xA4}, False),
            ({"vintid": 1019}, True),
            ({"vintid": 1020}, False),
            ({"vintid": 8191}, False),
            ({"vintid": 8192}, True),
            ({"vintid": 65536}, False),
            ({"state": 0, "hw": 1, "vintid": 1023, "priority": 1}, True),
        ],
    )
    def test_fields(self, fields: dict[str, int], valid: bool) -> None:
        """pINTID, priority and vINTID; a list register in state 0 is not looked at."""
        assert lrs_valid([lr(**fields)]) == valid

    def test_duplicates(self) -> None:
        """Two list registers with one vINTID, unless one is invalid."""
        assert not lrs_valid([lr(), lr()])
        assert lrs_valid([lr(), lr(state=0)])
