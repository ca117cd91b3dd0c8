"""The features that an RMM offers to the Host: feature register 0, and its limits for the parameters of Realms."""

from typing import Final, NamedTuple

from cca_arch.fields import Record
from cca_arch.rmi.v1_0 import FeatureRegister0, RmiRealmFlags

__all__ = ["Offer"]

_S2SZ_MIN: Final = 32


class Offer(NamedTuple):
    """The features of a version."""

    register_0: FeatureRegister0

    def register(self, index: int) -> int:
        """A feature register; all but register 0 read as zero."""
        return int(self.register_0) if index == 0 else 0

    @property
    def max_recs(self) -> int:
        """The maximum number of RECs of a Realm."""
        order: int = self.register_0.MAX_RECS_ORDER
        return (1 << order) - 1

    def supports(self, params: Record) -> bool:
        """True if RmiRealmParams request no more than is offered."""
        flags, offer = RmiRealmFlags(params.flags), self.register_0
        return bool(
            flags.lpa2 <= offer.LPA2
            and _S2SZ_MIN <= params.s2sz <= offer.S2SZ
            and 1 <= params.num_bps <= offer.NUM_BPS
            and 1 <= params.num_wps <= offer.NUM_WPS
            and (not flags.sve or (offer.SVE_EN and params.sve_vl <= offer.SVE_VL))
            and (not flags.pmu or (offer.PMU_EN and 1 <= params.pmu_num_ctrs <= offer.PMU_NUM_CTRS))  # no FEAT_HPMN0
        )
