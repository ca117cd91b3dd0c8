"""The PE's controls while a Realm runs, and the ID registers that the Realm reads."""

from cca_arch.sysregs import encodings
from cca_rmm.world.el2 import HCR_REALM, vtcr
from cca_rmm.world.id_registers import id_register


class TestControls:
    """What the PE is told before a Realm runs, and what the Realm reads of it."""

    def test_hcr(self) -> None:
        """VM, FWB and TSC are set, TGE and the trap bits of the Host are not."""
        assert HCR_REALM == 0x4324_800C_043F
        assert not HCR_REALM >> 27 & 1

    def test_vtcr(self) -> None:
        """T0SZ and SL0 follow the shape; NSA is set; the walker changes no descriptor."""
        control = vtcr(33, 2, 8)
        assert (control.t0sz, control.sl0, control.nsa, control.vs, int(control) >> 21 & 3) == (31, 0, 1, 0, 0)
        assert (vtcr(40, 1, 16).sl0, vtcr(40, 0, 16).sl0, vtcr(40, 0, 16).vs) == (1, 2, 1)

    def test_id_registers(self) -> None:
        """SVE, AMU, MTE, SME and trace disappear, the rest stays, unknown encodings read as zero."""
        ones = (1 << 64) - 1
        assert id_register(encodings.ID_AA64PFR0_EL1, ones, False) == ones & ~(0xF << 44) & ~(0xF << 32)
        assert id_register(encodings.ID_AA64MMFR0_EL1, 0x1122, False) == 0x1122
        assert id_register((3, 0, 0, 4, 4), ones, False) == 0 and id_register((3, 0, 0, 3, 7), ones, False) == 0
