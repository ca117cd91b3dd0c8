"""RTT entries: stage 2 descriptors with the RMM's own states in those that map nothing."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtt_entries import entries

from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import Kind
from cca_arch.rmi.v1_0 import RmiRipas

SPEC = json.loads((Path(__file__).parents[1] / "rmm" / "vectors" / "rmm10.json").read_text())["read_entry"]
LEVELS = (1, 2, 3)


class TestEntries:
    """Kind, RIPAS and address survive the descriptor."""

    @pytest.mark.parametrize("level", LEVELS)
    def test_kinds(self, level: int) -> None:
        """Every entry is recognised for what it was made."""
        for name, entry in entries(level).items():
            kind = rtte.kind_of(entry, level)
            assert kind.name == (name if name in Kind.__members__ else name.split("_")[0])
            if kind in (Kind.UNASSIGNED, Kind.ASSIGNED):
                assert RmiRipas(rtte.ripas(entry)).name == name.split("_")[1]
            assert rtte.live(entry) == (not name.startswith("UNASSIGNED"))

    @pytest.mark.parametrize("level", LEVELS)
    def test_read_entry(self, level: int) -> None:
        """RMI_RTT_READ_ENTRY reports each kind as the specification's table says."""
        for name, entry in entries(level).items():
            state, desc, ripas = rtte.read_entry(entry, level)
            row = SPEC[name]
            assert (state, ripas) == (row["state"], row["ripas"])
            assert desc == (0 if row["desc"] == 0 else 0x8_8000_0000 | (0xD8 if name == "ASSIGNED_NS" else 0))

    def test_only_ram_and_ns_are_valid(self) -> None:
        """The walker of the PE sees a mapping for ASSIGNED,RAM and ASSIGNED_NS alone."""
        for level in LEVELS:
            valid = {name for name, entry in entries(level).items() if rtte.valid(entry)}
            assert valid - {"TABLE"} == {"ASSIGNED_RAM", "ASSIGNED_NS"}

    def test_unprotected_is_never_executable(self) -> None:
        """ASSIGNED_NS has XN and the NS bit; protected RAM has neither."""
        assert rtte.Rtte(entries(3)["ASSIGNED_NS"]).xn == 0b10 and rtte.Rtte(entries(3)["ASSIGNED_NS"]).ns
        assert not rtte.Rtte(entries(3)["ASSIGNED_RAM"]).xn and not rtte.Rtte(entries(3)["ASSIGNED_RAM"]).ns

    @given(st.integers(0, (1 << 64) - 1), st.sampled_from(LEVELS))
    def test_host_descriptor(self, desc: int, level: int) -> None:
        """An address of the level, MemAttr and S2AP; what is accepted comes back bit for bit."""
        ok = rtte.host_desc_valid(desc, level)
        allowed = ((1 << 48) - 1) & -rtte.level_size(level) | 0b111 << 2 | 0b11 << 6
        assert ok == (not desc & ~allowed and desc >> 2 & 7 != 0b100)
        if ok:
            assert rtte.host_desc(rtte.assigned_ns(desc, level)) == desc

    @pytest.mark.parametrize("bit", [0, 1, 5, 8, 9, 10, 11, 48, 51, 52, 53, 54, 55, 63])
    def test_host_descriptor_reserved(self, bit: int) -> None:
        """SH, AF, XN, NS, type and address bits below the level or above 47 must be zero."""
        assert rtte.host_desc_valid(0x8000_0000 | rtte.HOST_NORMAL, 3)
        assert not rtte.host_desc_valid(0x8000_0000 | rtte.HOST_NORMAL | 1 << bit, 3)
