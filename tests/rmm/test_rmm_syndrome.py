"""What the Host sees of an exit, and what a Realm gets injected (state-machine tables of DEN0137)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.emulation import emulated_value, sea_esr
from cca_arch.sysregs import DataAbortEsr as Esr
from cca_rmm.world.realm_memory import fault_ipa
from cca_rmm.world.syndrome import SERROR_VIEW, VIEWS

WORD = st.integers(0, (1 << 64) - 1)


class TestViews:
    """Masks of ESR_EL2 and FAR_EL2 per kind of abort."""

    @pytest.mark.parametrize(
        ("kind", "esr", "far", "hpfar"),
        [
            ("protected", 0xFC00_1E3F, 0, -1),
            ("emulatable", 0xFDC0_9E7F, 0xFFF, -1),
            ("unprotected", 0xFC00_1E3F, 0, -1),
            ("instruction", 0xFC00_1A3F, 0, -1),
            ("external", 0xFC00_1E3F, 0, 0),
        ],
    )
    def test_masks(self, kind: str, esr: int, far: int, hpfar: int) -> None:
        """IL, SRT, SSE, AR, CM, VNCR and S1PTW are never given."""
        view = VIEWS[kind]
        assert (view.esr, view.far, view.hpfar) == (esr, far, hpfar)

    def test_serror(self) -> None:
        """EC, IDS, AET, EA and DFSC; neither IL nor IESB."""
        assert SERROR_VIEW == 0xFD00_1E3F

    def test_fault_ipa(self) -> None:
        """HPFAR_EL2 bits 43:4 are IPA bits 51:12, whatever the bits around them."""
        assert fault_ipa(0x1_0100_0000 >> 8) == 0x1_0100_0000
        assert fault_ipa(0xF | 1 << 63) == 0


class TestInjection:
    """Synchronous external aborts for the Realm."""

    @pytest.mark.parametrize(("spsr", "ec"), [(0x0, 0x24), (0x4, 0x25), (0x5, 0x25)])
    def test_class(self, spsr: int, ec: int) -> None:
        """From EL0 the lower-level class, from EL1 the same-level one; FSC 0x10, EA set, FnV and S1PTW clear."""
        got = Esr(sea_esr(Esr.make(ec=0x24, il=1, wnr=1, fnv=1, s1ptw=1, fsc=7), spsr))
        assert (got.ec, got.fsc, got.ea, got.fnv, got.s1ptw, got.il, got.wnr) == (ec, 0x10, 1, 0, 0, 1, 1)

    def test_instruction(self) -> None:
        """The classes of instruction aborts are 0x20 and 0x21."""
        assert Esr(sea_esr(Esr.make(ec=0x20), 0x5)).ec == 0x21


class TestEmulatedLoad:
    """Completion of an emulated read."""

    @given(WORD, st.integers(0, 3), st.booleans(), st.booleans())
    def test_extension(self, value: int, sas: int, sse: bool, sf: bool) -> None:
        """Cut to the access size, sign-extended if SSE, 32 bits wide unless SF."""
        got = emulated_value(Esr.make(sas=sas, sse=sse, sf=sf), value)
        bits = 8 << sas
        cut = value % (1 << bits)
        signed = cut - (1 << bits) if sse and cut >> (bits - 1) else cut
        assert got == signed % (1 << (64 if sf else 32))
