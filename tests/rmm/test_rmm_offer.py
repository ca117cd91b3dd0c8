"""What RMM 1.0 offers, and the parameters of a Realm against it."""

import pytest

from cca_arch.fields import Record
from cca_arch.rmi.v1_0 import FeatureRegister0, RmiRealmParams
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_rmm.base.offer import Offer
from cca_rmm.objects.realm import hash_valid, rtt_shape_valid
from cca_rmm.versions.v1_0 import V1_0

OFFER = V1_0.offer


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
            ({"flags": 4}, False),  # a PMU has a counter at least: there is no FEAT_HPMN0
            ({"flags": 4, "pmu_num_ctrs": 1}, True),
            ({"flags": 4, "pmu_num_ctrs": 6}, True),
            ({"flags": 4, "pmu_num_ctrs": 7}, False),
            ({"flags": 4, "pmu_num_ctrs": 255}, False),
            ({"pmu_num_ctrs": 7}, True),
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
        assert OFFER.supports(params(**changed)) == supported

    @pytest.mark.parametrize("length", range(4))
    def test_vectors(self, length: int) -> None:
        """A version that offers SVE serves every length up to its own, and none without SVE."""
        offer = Offer(FeatureRegister0(int(OFFER.register_0) | FeatureRegister0.make(SVE_EN=1, SVE_VL=2)))
        assert offer.supports(params(flags=2, sve_vl=length)) == (length <= 2)
        assert offer.supports(params(sve_vl=length))
        assert not OFFER.supports(params(flags=2, sve_vl=length))

    @pytest.mark.parametrize("order", [0, 1, 8, 15])
    def test_recs(self, order: int) -> None:
        """MAX_RECS_ORDER is the order of the first number of RECs that is too many."""
        assert Offer(FeatureRegister0(FeatureRegister0.make(MAX_RECS_ORDER=order))).max_recs == 2**order - 1

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


class TestOffer:
    """Feature register 0."""

    def test_feature_register(self) -> None:
        """48-bit IPA, 6 breakpoints, 4 watchpoints, 4 list registers, both hashes, 6 PMU counters, no SVE or LPA2."""
        assert OFFER.register_0 == 0x28F_3431_4030

    @pytest.mark.parametrize("board", ["fvp", "virt"])
    def test_of_the_pe(self, board: str) -> None:
        """Feature register 0 offers no more breakpoints, watchpoints and address bits than the ID registers show."""
        machine = Machine(Board.load(board))
        dfr0, mmfr0 = (machine.pes[0].id_register(3, 0, 0, crm, 0) for crm in (5, 7))
        assert (dfr0 >> 12 & 15, dfr0 >> 20 & 15) == (OFFER.register_0.NUM_BPS, OFFER.register_0.NUM_WPS)
        assert (32, 36, 40, 42, 44, 48)[mmfr0 & 15] >= OFFER.register_0.S2SZ
        machine.close()
