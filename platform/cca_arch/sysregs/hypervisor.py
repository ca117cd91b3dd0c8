"""The controls of EL2 and EL3 over the levels below (DDI 0487, D24)."""

from typing import Final

from cca_arch.fields import Bits, Field

__all__ = [
    "CPTR_EL2_RES1",
    "HCR_EL2_OPEN",
    "SCR_EL3_RES1",
    "Cpacr",
    "Cptr",
    "Hcr",
    "Hpfar",
    "Hstr",
    "Mdcr",
    "Mdscr",
    "Scr",
]


class Hcr(Bits):
    """HCR_EL2: Hypervisor Configuration Register."""

    vm = Field(0)
    swio = Field(1)
    ptw = Field(2)
    fmo = Field(3)
    imo = Field(4)
    amo = Field(5)
    vf = Field(6)
    vi = Field(7)
    vse = Field(8)
    fb = Field(9)
    bsu = Field(11, 10)
    dc = Field(12)
    twi = Field(13)
    twe = Field(14)
    tid0 = Field(15)
    tid1 = Field(16)
    tid2 = Field(17)
    tid3 = Field(18)
    tsc = Field(19)
    tidcp = Field(20)
    tacr = Field(21)
    tsw = Field(22)
    tpcp = Field(23)
    tpu = Field(24)
    ttlb = Field(25)
    tvm = Field(26)
    tge = Field(27)
    tdz = Field(28)
    hcd = Field(29)
    trvm = Field(30)
    rw = Field(31)
    cd = Field(32)
    id = Field(33)
    e2h = Field(34)
    tlor = Field(35)
    terr = Field(36)
    tea = Field(37)
    apk = Field(40)
    api = Field(41)
    nv = Field(42)
    nv1 = Field(43)
    at = Field(44)
    nv2 = Field(45)
    fwb = Field(46)
    fien = Field(47)
    gpf = Field(48)
    tid4 = Field(49)
    ticab = Field(50)
    amvoffen = Field(51)
    tocu = Field(52)
    enscxt = Field(53)
    ttlbis = Field(54)
    ttlbos = Field(55)
    ata = Field(56)
    dct = Field(57)
    tid5 = Field(58)
    tweden = Field(59)
    twedel = Field(63, 60)


HCR_EL2_OPEN: Final = Hcr.rw.mask | Hcr.apk.mask | Hcr.api.mask
"""HCR_EL2 that traps, routes and translates nothing of the lower levels, which are AArch64."""


class Scr(Bits):
    """SCR_EL3: Secure Configuration Register. {NSE, NS} selects the security state below EL3."""

    ns = Field(0)
    irq = Field(1)
    fiq = Field(2)
    ea = Field(3)
    smd = Field(7)
    hce = Field(8)
    sif = Field(9)
    rw = Field(10)
    st = Field(11)
    twi = Field(12)
    twe = Field(13)
    tlor = Field(14)
    terr = Field(15)
    apk = Field(16)
    api = Field(17)
    eel2 = Field(18)
    ease = Field(19)
    gpf = Field(48)
    nse = Field(62)


SCR_EL3_RES1: Final = 0x30


class Cptr(Bits):
    """CPTR_EL2 with HCR_EL2.E2H = 0: traps of FP, SVE and CPACR_EL1."""

    tz = Field(8)
    tfp = Field(10)
    tsm = Field(12)
    tta = Field(20)
    tam = Field(30)
    tcpac = Field(31)


CPTR_EL2_RES1: Final = 0x33FF
"""Without SVE and SME, whose trap bits are then RES1."""


class Cpacr(Bits):
    """CPACR_EL1: traps of FP and SVE to EL1."""

    zen = Field(17, 16)
    fpen = Field(21, 20)
    tta = Field(28)


class Hstr(Bits):
    """HSTR_EL2: traps of AArch32's CP15, so without AArch32 all of it is RES0."""


class Mdcr(Bits):
    """MDCR_EL2: traps of debug and performance monitors to EL2; ``tpm`` is the same bit in MDCR_EL3."""

    hpmn = Field(4, 0)
    tpmcr = Field(5)
    tpm = Field(6)
    hpme = Field(7)
    tde = Field(8)
    tda = Field(9)
    tdosa = Field(10)
    tdra = Field(11)
    e2pb = Field(13, 12)
    tpms = Field(14)
    hpmd = Field(17)
    ttrf = Field(19)
    hccd = Field(23)
    hlp = Field(26)


class Mdscr(Bits):
    """MDSCR_EL1: Monitor Debug System Control Register."""

    ss = Field(0)
    tdcc = Field(12)
    kde = Field(13)
    mde = Field(15)


class Hpfar(Bits):
    """HPFAR_EL2: the page of the faulting IPA."""

    fipa = Field(43, 4)  # IPA[51:12]
    ns = Field(63)
