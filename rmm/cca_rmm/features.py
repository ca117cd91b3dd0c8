"""What this RMM offers, what it refuses, and what it shows and controls of the PE while a Realm runs."""

from functools import lru_cache
from typing import Final

from cca_arch.fields import Bits, Field, Record
from cca_arch.rmi.v1_0 import FeatureRegister0, HashAlgorithm, RmiRealmFlags

__all__ = [
    "FEATURE_REGISTER_0",
    "HCR_REALM",
    "MAX_RECS",
    "MDCR_REALM",
    "NUM_LRS",
    "PSTATE_RESET",
    "REC_RESET",
    "SCTLR_RESET",
    "Hcr",
    "Vtcr",
    "hash_valid",
    "id_register",
    "params_supported",
    "rtt_shape_valid",
    "vtcr",
]

FEATURE_REGISTER_0: Final = FeatureRegister0.make(
    S2SZ=48, NUM_BPS=5, NUM_WPS=3, HASH_SHA_256=1, HASH_SHA_512=1, GICV3_NUM_LRS=3, MAX_RECS_ORDER=10
)
NUM_LRS: Final = FEATURE_REGISTER_0.GICV3_NUM_LRS + 1
MAX_RECS: Final = (1 << FEATURE_REGISTER_0.MAX_RECS_ORDER) - 1
_S2SZ_MIN: Final = 32
_START_LEVELS: Final = {2: range(32, 35), 1: range(32, 44), 0: range(40, 49)}  # s2sz by rtt_level_start, without LPA2


def params_supported(params: Record) -> bool:
    """Whether RmiRealmParams ask for no more than feature register 0 offers."""
    flags, offer = RmiRealmFlags(params.flags), FEATURE_REGISTER_0
    return bool(
        flags.lpa2 <= offer.LPA2
        and _S2SZ_MIN <= params.s2sz <= offer.S2SZ
        and 1 <= params.num_bps <= offer.NUM_BPS
        and 1 <= params.num_wps <= offer.NUM_WPS
        and (not flags.sve or (offer.SVE_EN and params.sve_vl <= offer.SVE_VL))
        and (not flags.pmu or (offer.PMU_EN and params.pmu_num_ctrs <= offer.PMU_NUM_CTRS))
    )


def hash_valid(params: Record) -> bool:
    """Whether hash_algo is an encoding of RmiHashAlgorithm."""
    return params.hash_algo in tuple(HashAlgorithm)


def rtt_shape_valid(params: Record) -> bool:
    """Whether (s2sz, rtt_level_start, rtt_num_start) are consistent: at most 16 concatenated tables."""
    level, s2sz = params.rtt_level_start, params.s2sz
    if s2sz not in _START_LEVELS.get(level, ()):
        return False
    resolved = 9 * (3 - level) + 21  # bits that one starting-level table resolves
    return bool(params.rtt_num_start == 1 << max(0, s2sz - resolved))


# -- the PE while a Realm runs ------------------------------------------------------------------------------------
class Hcr(Bits):
    """The fields of HCR_EL2 that matter to a Realm (DDI 0487)."""

    vm = Field(0)
    swio = Field(1)
    ptw = Field(2)
    fmo = Field(3)
    imo = Field(4)
    amo = Field(5)
    bsu = Field(11, 10)
    twi = Field(13)
    twe = Field(14)
    tid3 = Field(18)
    tsc = Field(19)
    rw = Field(31)
    e2h = Field(34)
    tea = Field(37)
    apk = Field(40)
    api = Field(41)
    fwb = Field(46)


HCR_REALM: Final = Hcr.make(
    vm=1, swio=1, ptw=1, fmo=1, imo=1, amo=1, bsu=1, tid3=1, tsc=1, rw=1, e2h=1, tea=1, apk=1, api=1, fwb=1
)
MDCR_REALM: Final = 0b111 << 9
"""MDCR_EL2 {TDRA, TDOSA, TDA}: debug registers are not switched between worlds, so a Realm has none."""


class Vtcr(Bits):
    """VTCR_EL2."""

    t0sz = Field(5, 0)
    sl0 = Field(7, 6)
    irgn0 = Field(9, 8)
    orgn0 = Field(11, 10)
    sh0 = Field(13, 12)
    tg0 = Field(15, 14)
    ps = Field(18, 16)
    vs = Field(19)
    nsa = Field(30)
    res1 = Field(31)


_SL0: Final = {2: 0, 1: 1, 0: 2}  # 4 KiB granule
_PS_48: Final = 5


@lru_cache(64)
def vtcr(s2sz: int, rtt_level_start: int, vmid_bits: int) -> Vtcr:
    """VTCR_EL2 of a Realm: 4 KiB granule, write-back inner-shareable walks, no hardware access flag or dirty state."""
    return Vtcr.make(
        t0sz=64 - s2sz, sl0=_SL0[rtt_level_start], irgn0=1, orgn0=1, sh0=3, ps=_PS_48,
        vs=vmid_bits > 8, nsa=1, res1=1,
    )  # fmt: skip


PSTATE_RESET: Final = 0x3C5  # EL1h, DAIF masked
SCTLR_RESET: Final = 0x30D0_0800  # RES1 bits; M, C and I clear
REC_RESET: Final[dict[str, int]] = {"pstate": PSTATE_RESET, "sctlr_el1": SCTLR_RESET, "mdscr_el1": 1 << 12}
"""Registers of a new REC that are not zero: PSTATE, SCTLR_EL1, MDSCR_EL1.TDCC."""


def _bits(*fields: tuple[int, int]) -> int:
    """The mask of bit fields given as (high, low)."""
    return sum(((1 << (high - low + 1)) - 1) << low for high, low in fields)


_ID_CLEARED: Final[dict[tuple[int, int], int]] = {
    # (CRm, op2): fields of ID registers (op0 3, op1 0, CRn 0) that a Realm reads as zero
    (4, 0): _bits((47, 44), (35, 32)),  # ID_AA64PFR0_EL1: AMU, SVE
    (4, 1): _bits((27, 24), (11, 8)),  # ID_AA64PFR1_EL1: SME, MTE
    (5, 0): _bits((7, 4), (19, 16), (27, 24), (31, 28), (35, 32), (43, 40), (47, 44), (55, 52), (59, 56)),
    # ID_AA64DFR0_EL1: TraceVer, PMSS, SEBEP, CTX_CMPs, PMSVer, TraceFilt, TraceBuffer, BRBE, ExtTrcBuff
    (5, 1): _bits((39, 36), (51, 48)),  # ID_AA64DFR1_EL1: ICNTR, EBEP
    (5, 4): 0,  # ID_AA64AFR0_EL1
    (5, 5): 0,  # ID_AA64AFR1_EL1
    (6, 0): 0,  # ID_AA64ISAR0_EL1
    (6, 1): 0,  # ID_AA64ISAR1_EL1
    (7, 0): 0,  # ID_AA64MMFR0_EL1
    (7, 1): 0,  # ID_AA64MMFR1_EL1
    (7, 2): 0,  # ID_AA64MMFR2_EL1
}


def id_register(crm: int, op2: int, physical: int) -> int:
    """What a Realm reads of the ID register (3, 0, 0, ``crm``, ``op2``); those not in the table read as zero."""
    cleared = _ID_CLEARED.get((crm, op2))
    return 0 if cleared is None else physical & ~cleared
