"""Feature register 0, the parameters of a Realm against it, and the PE's controls."""

import pytest

from cca_arch.fields import Record
from cca_arch.rmi.v1_0 import RmiRealmParams
from cca_platform.machine.board import Board
from cca_platform.machine.machine import Machine
from cca_rmm.features import (
    FEATURE_REGISTER_0,
    HCR_REALM,
    hash_valid,
    id_register,
    params_supported,
    rtt_shape_valid,
    vtcr,
)


def params(**values: int) -> Record:
    """Valid RmiRealmParams with some of them changed."""
    plain = {"s2sz": 33, "num_bps": 5, "num_wps": 3, "rtt_level_start": 2, "rtt_num_start": 8}
    return RmiRealmParams.unpack(RmiRealmParams.pack(**{**plain, **values}))


class TestParameters:
    """RMI_REALM_CREATE asks for no more than there is."""

    @pytest.mark.parametrize(
        ("changed", "supported"),
        [
            ({}, True),
            ({"flags": 1}, False),
            ({"flags": 2}, False),
            ({"flags": 4}, False),
            ({"flags": 1 << 63}, True),
            ({"s2sz": 31}, False),
            ({"s2sz": 48}, True),
            ({"s2sz": 49}, False),
            ({"num_bps": 0}, False),
            ({"num_bps": 1}, True),
            ({"num_bps": 6}, False),
            ({"num_wps": 0}, False),
            ({"num_wps": 4}, False),
        ],
    )
    def test_supported(self, changed: dict[str, int], supported: bool) -> None:
        """Fewer breakpoints than available are accepted, more are refused; reserved flags are ignored."""
        assert params_supported(params(**changed)) == supported

    @pytest.mark.parametrize(
        ("s2sz", "level", "tables"),
        [
            (32, 2, 4), (33, 2, 8), (34, 2, 16), (32, 1, 1), (33, 1, 1), (39, 1, 1), (40, 1, 2), (42, 1, 8),
            (43, 1, 16), (48, 0, 1), (40, 0, 1),
        ],
    )  # fmt: skip
    def test_shapes(self, s2sz: int, level: int, tables: int) -> None:
        """Each shape of the specification, and no other number of tables."""
        assert rtt_shape_valid(params(s2sz=s2sz, rtt_level_start=level, rtt_num_start=tables))
        for other in (0, tables - 1, tables + 1, 2 * tables):
            assert other == tables or not rtt_shape_valid(params(s2sz=s2sz, rtt_level_start=level, rtt_num_start=other))

    @pytest.mark.parametrize(("s2sz", "level"), [(35, 2), (44, 1), (39, 0), (32, 3), (48, -1), (33, 4)])
    def test_bad_shapes(self, s2sz: int, level: int) -> None:
        """Widths that a starting level cannot serve."""
        for tables in (1, 2, 16, 32):
            assert not rtt_shape_valid(params(s2sz=s2sz, rtt_level_start=level, rtt_num_start=tables))

    def test_hash(self) -> None:
        """SHA-256 and SHA-512 are all there is."""
        assert [hash_valid(params(hash_algo=value)) for value in (0, 1, 2, 255)] == [True, True, False, False]


class TestControls:
    """What the PE is told before a Realm runs, and what the Realm reads of it."""

    def test_feature_register(self) -> None:
        """48-bit IPA, 6 breakpoints, 4 watchpoints, 4 list registers, both hashes, no PMU, SVE or LPA2."""
        assert FEATURE_REGISTER_0 == 0x28F_0031_4030

    def test_hcr(self) -> None:
        """VM, FWB and TSC are set, TGE and the trap bits of the Host are not."""
        assert HCR_REALM == 0x4324_800C_043F
        assert not HCR_REALM >> 27 & 1

    def test_vtcr(self) -> None:
        """T0SZ and SL0 follow the shape; NSA is set; the walker changes no descriptor."""
        control = vtcr(33, 2, 8)
        assert (control.t0sz, control.sl0, control.nsa, control.vs, int(control) >> 21 & 3) == (31, 0, 1, 0, 0)
        assert (vtcr(40, 1, 16).sl0, vtcr(40, 0, 16).sl0, vtcr(40, 0, 16).vs) == (1, 2, 1)

    @pytest.mark.parametrize("board", ["fvp", "virt"])
    def test_of_the_pe(self, board: str) -> None:
        """Feature register 0 offers no more breakpoints, watchpoints and address bits than the ID registers show."""
        machine = Machine(Board.load(board))
        dfr0, mmfr0 = (machine.pes[0].id_register(3, 0, 0, crm, 0) for crm in (5, 7))
        assert (dfr0 >> 12 & 15, dfr0 >> 20 & 15) == (FEATURE_REGISTER_0.NUM_BPS, FEATURE_REGISTER_0.NUM_WPS)
        assert (32, 36, 40, 42, 44, 48)[mmfr0 & 15] >= FEATURE_REGISTER_0.S2SZ
        machine.close()

    def test_id_registers(self) -> None:
        """SVE, AMU, MTE, SME and trace disappear, the rest stays, unknown encodings read as zero."""
        ones = (1 << 64) - 1
        assert id_register(4, 0, ones) == ones & ~(0xF << 44) & ~(0xF << 32)
        assert id_register(7, 0, 0x1122) == 0x1122
        assert id_register(4, 4, ones) == 0 and id_register(3, 7, ones) == 0
