"""Beginners' mistakes with timers, the interrupt controller, and the end of a program."""

from mistakes import FOREVER, OFF, Mistake, realm
from realm_code import load, smc
from rmm_host import RAM

from cca_arch.psci import Psci

__all__ = ["INTERRUPTS", "timer"]

_SHARED = 1 << 32
_GICD = 0x3FFF_0000 | _SHARED
_GICR = _GICD - 0x2_0000
_SGI = 0x1_0000
_CTLR, _WAKER, _ISENABLER, _PRIORITY = 0x0, 0x14, 0x100, 0x400
_VIRTUAL, _PHYSICAL = 27, 30
_VECTORS, _IRQ = 0x800, 0x280
_QUIET, _EOI = "msr cntv_ctl_el0, xzr; ", "msr icc_eoir1_el1, x0; isb; "
_FOREVER = "wait: wfi; b wait"


def _write(at: int, value: int, width: str = "") -> str:
    """Store a word, or with ``width`` "b" a byte."""
    return f"{load('x9', at)}; {load('x10', value)}; str{width} w10, [x9]; "


def timer(
    distributor: str = _write(_GICD + _CTLR, 1 << 4 | 1 << 1),
    ppi: int = _VIRTUAL,
    enable: int = _GICR + _SGI + _ISENABLER,
    priorities: str = "mov x9, #0xf0; msr icc_pmr_el1, x9; ",
    group: str = "mov x9, #1; msr icc_igrpen1_el1, x9; isb; ",
    vectors: str = f"{load('x9', RAM + _VECTORS)}; msr vbar_el1, x9; isb; ",
    arm: str = "mov x9, #1000; msr cntv_tval_el0, x9; mov x9, #1; msr cntv_ctl_el0, x9; isb; ",
    unmask: str = "msr daifclr, #2; ",
    slot: int = _IRQ,
    quiet: str = _QUIET,
    end: str = _EOI,
    after: str = OFF,
    rest: str = _FOREVER,
) -> dict[int, str | bytes]:
    """A Realm that takes the interrupt of its virtual timer, whose handler ends the program."""
    frame = f"{_write(_GICR + _WAKER, 0)}{_write(_GICR + _SGI + _PRIORITY + ppi, 0xA0, 'b')}{_write(enable, 1 << ppi)}"
    start = f"{vectors}{distributor}{frame}{priorities}{group}{arm}{unmask}{rest}"
    return {0: start, _VECTORS + slot: f"mrs x0, icc_iar1_el1; {quiet}{end}{after}"}


_AGAIN = "mov x9, #1000; msr cntv_tval_el0, x9; mov x9, #1; msr cntv_ctl_el0, x9; isb; eret"

INTERRUPTS = (
    Mistake(
        "interrupts-masked",
        "armed the timer, and did not clear PSTATE.I",
        realm(timer(unmask="")),
        (r"PSTATE\.?I\b|DAIF|masks? (IRQ|interrupt)|(IRQ|interrupt)s? (is |are )?masked|I bit",),
    ),
    Mistake(
        "timer-off",
        "set CNTV_TVAL_EL0, and not CNTV_CTL_EL0.ENABLE",
        realm(timer(arm="mov x9, #1000; msr cntv_tval_el0, x9; isb; ")),
        (r"timer|CNTV", r"\bENABLE\b|not (enabled|armed|on)|is off|\boff\b|disabled|no timer"),
    ),
    Mistake(
        "no-priority-mask",
        "did not write ICC_PMR_EL1, which lets nothing through at reset",
        realm(timer(priorities="")),
        (r"\bPMR\b|ICC_PMR_EL1|priority mask",),
    ),
    Mistake(
        "group-off",
        "did not set ICC_IGRPEN1_EL1",
        realm(timer(group="")),
        (r"IGRPEN1|group 1",),
    ),
    Mistake(
        "distributor-off",
        "did not enable group 1 in GICD_CTLR",
        realm(timer(distributor="")),
        (r"GICD_CTLR|distributor|group 1",),
    ),
    Mistake(
        "physical-for-virtual",
        "enabled INTID 30, the physical timer, and armed the virtual one",
        realm(timer(ppi=_PHYSICAL)),
        (r"\b27\b", r"not enabled|ISENABLER|disabled|is off|virtual timer"),
    ),
    Mistake(
        "spi-for-ppi",
        "enabled the timer at the distributor, like an SPI, instead of at the redistributor",
        realm(timer(enable=_GICD + _ISENABLER)),
        (r"\b27\b|timer", r"redistributor|GICR|\bPPI\b|not enabled|disabled"),
    ),
    Mistake(
        "no-vectors",
        "unmasked interrupts without VBAR_EL1",
        realm(timer(vectors="")),
        (r"VBAR|vector", r"\bIRQ|interrupt"),
    ),
    Mistake(
        "wrong-vector",
        "wrote the handler of IRQs where those from SP_EL0 go, at 0x80",
        realm(timer(slot=0x80)),
        (r"vector|VBAR", r"\bIRQ|interrupt|0x280\b"),
    ),
    Mistake(
        "no-end-of-interrupt",
        "did not write ICC_EOIR1_EL1, so that the second interrupt never comes",
        realm(timer(quiet="", end="", after=_AGAIN)),
        (r"EOI|active|not (been )?ended|end of interrupt|running priority",),
    ),
    Mistake(
        "timer-never-quiet",
        "ended the interrupt and left the timer's condition: the interrupt comes again and again",
        realm(timer(quiet="", after="eret"), "--max-insns", "20000"),
        (r"\b27\b|timer", r"again|asserted|pending|condition|quiet|level|CNTV|times|without end"),
    ),
    Mistake(
        "distributor-of-fvp",
        "looked for the distributor where the FVP has it, at 0x2f00_0000",
        realm(f"{_write(0x2F00_0000 | _SHARED, 0x12)}{FOREVER}"),
        (r"0x12f000000", r"no device|nothing|not (a )?device|no emulat|does not emulate|is at 0x"),
    ),
    Mistake(
        "waits-at-the-end",
        "let main return into a loop of WFI, and did not call PSCI SYSTEM_OFF",
        realm("bl main; wait: wfi; b wait; main: ret"),
        (r"SYSTEM_OFF|no (interrupt|timer)|cannot come|nothing (can|is|will)|WFI",),
    ),
    Mistake(
        "endless-loop",
        "polls a flag that nobody sets, with nothing printed",
        realm({0: f"{load('x1', RAM + 0x800)}; poll: ldr w0, [x1]; cbz w0, poll; {OFF}"}),
        (r"loop|same (instructions|place|code)|poll|spin|goes round|round and round",),
    ),
    Mistake(
        "cpu-off-at-the-end",
        "turned its only vCPU off by CPU_OFF, and meant the system",
        realm(f"{smc(Psci.CPU_OFF)}; {FOREVER}"),
        (r"CPU_OFF", r"SYSTEM_OFF"),
    ),
)
