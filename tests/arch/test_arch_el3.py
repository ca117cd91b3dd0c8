"""The published numbers and structures, against the specifications' tables."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_arch import el3, psci, smccc
from cca_arch.types import SecurityState


class TestFids:
    def test_fields(self) -> None:
        """Function identifiers of the RMM interfaces are fast SMC64 calls of the standard secure owner."""
        for fid in (*smccc.RMI_FIDS, *smccc.RSI_FIDS, *smccc.RMM_EL3_FIDS, *smccc.RMI_FIDS_LATER):
            parts = smccc.Fid(fid)
            assert (parts.fast, parts.smc64, parts.owner, parts.zero) == (1, 1, smccc.Owner.STANDARD_SECURE, 0)

    def test_ranges_are_disjoint(self) -> None:
        """No function identifier belongs to two interfaces."""
        ranges = (smccc.RMI_FIDS, smccc.RSI_FIDS, smccc.RMM_EL3_FIDS, smccc.RMI_FIDS_LATER)
        assert sum(len(part) for part in ranges) == len({fid for part in ranges for fid in part})

    def test_rmm_el3(self) -> None:
        """RMM-EL3 calls lie in their range; REQ_COMPLETE is the last number of the RMI range."""
        for fid in el3.RmmEl3:
            assert fid in (smccc.RMI_FIDS if fid == el3.RmmEl3.RMI_REQ_COMPLETE else smccc.RMM_EL3_FIDS)

    def test_psci(self) -> None:
        """The SMC64 form of a PSCI function is its SMC32 form with bit 30 set."""
        for fid in psci.Psci:
            assert fid & ~(1 << 30) in smccc.PSCI_FIDS
            if fid.name.endswith("_64"):
                assert fid == psci.Psci[fid.name.removesuffix("_64")] | 1 << 30


class TestValues:
    def test_statuses_are_register_values(self) -> None:
        """A status compares equal with the unsigned X0 that carries it."""
        assert psci.PsciStatus.NOT_SUPPORTED == smccc.NOT_SUPPORTED == 2**64 - 1
        assert el3.RmmEl3Status.BAD_PAS == 2**64 - 3
        assert el3.BootCode.MANIFEST_DATA_ERROR == 2**64 - 7

    @pytest.mark.parametrize(
        ("state", "nse", "ns"),
        [(SecurityState.SECURE, 0, 0), (SecurityState.NON_SECURE, 0, 1), (SecurityState.REALM, 1, 1)],
    )
    def test_scr(self, state: SecurityState, nse: int, ns: int) -> None:
        """SCR_EL3 {NSE, NS} selects the world below EL3."""
        assert (el3.scr_of(state).nse, el3.scr_of(state).ns) == (nse, ns)
        assert (el3.scr_of(state).st, el3.scr_of(state).fiq) == ((1, 0) if state is SecurityState.SECURE else (0, 1))

    def test_root_is_not_below_el3(self) -> None:
        """The reserved encoding {1, 0} is refused."""
        with pytest.raises(ValueError, match="must be Secure, Non-secure or Realm, not Root"):
            el3.scr_of(SecurityState.ROOT)

    def test_versions(self) -> None:
        """Major in bits 30:16, minor in bits 15:0."""
        assert (el3.RMM_EL3_VERSION, el3.MANIFEST_VERSION, el3.version(1, 2)) == (0x4, 0x3, 0x1_0002)

    def test_affinity(self) -> None:
        """The MT, U and RES1 bits of an MPIDR are no part of a PSCI target."""
        assert psci.mpidr_affinity(0x12_C1AA_BBCC) == 0x12_00AA_BBCC


class TestManifestStructures:
    def test_offsets(self) -> None:
        """The offsets of the boot manifest 0.3."""
        offsets = {"version": 0, "plat_data": 8, "num_banks": 16, "banks": 24, "num_consoles": 40, "consoles": 48}
        assert {name: el3.CORE_MANIFEST.offset(name) for name in offsets} == offsets
        assert (el3.CORE_MANIFEST.size, el3.DRAM_BANK.size, el3.CONSOLE.size) == (64, 16, 48)

    @given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**64 - 1), max_size=8))
    def test_checksum(self, count: int, pointer: int, words: list[int]) -> None:
        """Count, pointer, words and checksum add up to zero modulo 2^64."""
        check = el3.checksum(count, pointer, struct.pack(f"<{len(words)}Q", *words))
        assert (count + pointer + sum(words) + check) % 2**64 == 0
        assert 0 <= check < 2**64
