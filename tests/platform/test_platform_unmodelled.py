"""Every bit that software may set works, reads as zero, or is in the list of what is not modelled.

A field that works has a row of ``pe.traps.CONTROLS``, each of which test_platform_traps runs, or a probe here: code
whose result shows the field, set and clear.
"""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import load
from stage1_code import NORMAL, NOWHERE, READ_ONLY, TABLE, mapped, stage1

from cca_arch.sysregs import Cnthctl, Ec, Esr, Hcr, Scr
from cca_arch.types import Gpi
from cca_firmware.boot import boot
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_platform.models import COMMON, MODELS
from cca_platform.native import block as w
from cca_platform.pe import traps
from cca_platform.unmodelled import CONTROLS, UNMODELLED
from cca_rmm.rmm import Rmm

CODE, DATA, VECTORS = 0x8010_0000, 0x8012_0000, 0x8011_0000
RW, ONES = 1 << 31, (1 << 64) - 1
HCR_ALWAYS = (1 << 34) - 1 & ~(RW | Hcr.tid0.mask | Hcr.hcd.mask) | Hcr.tea.mask | Hcr.fwb.mask | Hcr.gpf.mask
HCR_PAUTH = Hcr.apk.mask | Hcr.api.mask
HCR_OF_MAX = Hcr.tlor.mask | HCR_PAUTH
FATAL = {"HCR_EL2": Hcr.tge.mask, "SCTLR_EL2": 1 | 1 << 19}  # which code does not survive: TGE; M, WXN
TO_EL1 = (
    f"{load('x9', RW | HCR_PAUTH)}; msr hcr_el2, x9; mov x9, #0x3c5; msr spsr_el2, x9; "
    "adr x9, low; msr elr_el2, x9; eret; low: "
)
LAYOUTS = {name: row.layout for name, row in CONTROLS.items()} | {"HCR_EL2": Hcr, "CNTHCTL_EL2": Cnthctl}


def features(cpu: str) -> frozenset[str]:
    """The names of the features of a CPU model."""
    return frozenset(row.name for row in (*COMMON, *MODELS[cpu].features))


def kept(register: str, cpu: str) -> int:
    """The bits of a register that read as they are written."""
    if register == "HCR_EL2":
        return HCR_ALWAYS | (HCR_OF_MAX if cpu == "max" else 0)
    if register == "CNTHCTL_EL2":
        return 0xFF
    return CONTROLS[register].kept(register, features(cpu))


def bits(layout: Any, mask: int) -> set[str]:
    """The fields of a layout that a mask reaches."""
    return {name for name, field in layout.fields().items() if field.mask & mask}


class Lab:
    """Makes machines for a probe, and has what several of them need."""

    def __init__(self, guests: Callable[..., Any], benches: Callable[..., Any]) -> None:
        self._guests, self._benches = guests, benches

    def guest(self, cpu: str = "a72") -> Any:
        """A VM with the tables of stage 1, whose EL3 lets it authenticate pointers."""
        guest = self._guests(cpu=cpu)
        guest.map(0x8040_0000, 0x8040_0000, guest.S2, level=2)
        mapped(guest)
        guest.machine.scr[1] = int(Scr.make(apk=1, api=1))
        return guest

    def bench(self, cpu: str = "a72") -> Any:
        """A bare machine, whose EL2 has vectors that report ESR and FAR in X20 and X21."""
        bench = self._benches(cpu=cpu)
        bench.machine.scr[1] = int(Scr.make(apk=1, api=1))
        for offset in (0x200, 0x400):
            bench.place(VECTORS + offset, "mrs x20, esr_el2; mrs x21, far_el2; smc #0")
        bench.pe.write_sysreg("vbar_el2", VECTORS)
        return bench

    def to(
        self, code: str, hcr: int, el: int = 1, cpu: str = "a72", pending: int = 0, **registers: int
    ) -> tuple[int, int]:
        """The level that gets an exception of a guest under this HCR_EL2, and its class; level 0: there was none."""
        guest = self.guest(cpu)
        if pending == w.SIGNAL_SERROR:
            guest.pe.raise_serror()
        guest.pe.signal(pending & w.SIGNAL_GIC)
        report = guest.enter(code, el=el, x10=hcr, **registers)
        return report.level, int(Esr(report.esr).ec)


@pytest.fixture
def lab(guests: Callable[..., Any], benches: Callable[..., Any]) -> Lab:
    """Where probes are run."""
    return Lab(guests, benches)


def hcr_level(field: str, code: str, off: int, on: int, base: int = RW, **options: int) -> Callable[[Lab], None]:
    """A probe: ``code`` has an exception to level ``off`` without a field of HCR_EL2, and to ``on`` with it."""
    mask = Hcr.fields()[field].mask

    def probe(lab: Lab) -> None:
        found = [lab.to(code, hcr, **options)[0] for hcr in (base & ~mask, base | mask)]
        assert found == [off, on]

    return probe


def ptw(lab: Lab) -> None:
    """A walk through memory that stage 2 makes Device is a permission fault with PTW."""
    found = []
    for protected in (0, Hcr.ptw.mask):
        guest = lab.guest()
        guest.map(0x8040_0000, 0x8040_0000, 0, level=2)
        guest.map(TABLE, TABLE, 0x3C0 | 1 << 10)
        report = guest.enter(f"{stage1(1)} nop", x10=guest.HCR | protected)
        found.append((report.level, report.esr >> 7 & 1))
    assert found == [(0, 0), (2, 1)]


def fb(lab: Lab) -> None:
    """TLBI of EL1 without IS reaches other PEs with FB."""
    for hcr, broadcasts in ((RW, 0), (RW | Hcr.fb.mask, 1)):
        guest = lab.guest()
        before = int(guest.machine.memory.block[w.M_TLBI])
        guest.enter("tlbi vmalle1", x10=hcr)
        assert guest.machine.memory.block[w.M_TLBI] - before == broadcasts


def fwb(lab: Lab) -> None:
    """With FWB, stage 2 makes Device memory of stage 1 Normal Write-Back, as PAR_EL1 tells."""
    for hcr, attribute in ((1, 0), (1 | Hcr.fwb.mask, 0xFF)):
        guest = lab.guest()
        guest.map(0x9000_0000, 0x9000_0000, 0xC0 | 1 << 10 | 6 << 2 | 1 << 8, level=2)
        code = "msr hcr_el2, x10; msr vtcr_el2, x11; msr vttbr_el2, x12; isb; at s12e1r, x2; isb; mrs x5, par_el1"
        x = guest.run(f"{code}; smc #0", el=2, x2=0x9000_0000, x10=RW | hcr, x11=guest.VTCR, x12=guest.root)
        assert (x[5] & 1, x[5] >> 56) == (0, attribute)


def gpf(lab: Lab) -> None:
    """A granule protection fault of EL1 goes to EL2 with GPF."""
    for hcr, level in ((RW, 1), (RW | Hcr.gpf.mask, 2)):
        guest = lab.guest()
        guest.protect({DATA: Gpi.REALM})
        assert guest.enter("ldr x3, [x2]", x10=hcr, x2=DATA).level == level


def api(lab: Lab) -> None:
    """Pointer authentication is EL2's without API."""
    for hcr, result in ((RW | Hcr.api.mask, (0, 0)), (RW, (2, int(Ec.PAC)))):
        assert lab.to(f"{stage1(1, 31)} .word 0xDAC100C5", hcr, cpu="max") == result


def m(el: int) -> Callable[[Lab], None]:
    """A probe: with M, an address means what the tables say."""

    def probe(lab: Lab) -> None:
        bench = lab.bench()
        mapped(bench)
        bench.machine.memory.backdoor.write64(DATA, 0x1234)
        code = f"{stage1(el)} ldr x5, [x2]; smc #0"
        assert bench.run(code, el=el, x2=DATA - 0x4000_0000)[5] == 0x1234
        off = lab.bench()
        assert off.run("ldr x5, [x2]; smc #0", el=2, x2=DATA - 0x4000_0000)[5] != 0x1234

    return probe


def wxn(el: int) -> Callable[[Lab], None]:
    """A probe: with WXN, what may be written is not executed."""

    def probe(lab: Lab) -> None:
        for more, faults in (((), 0), ((19,), 1)):
            guest = lab.guest()
            mapped(guest, remote=NORMAL, flat=NORMAL | READ_ONLY)
            guest.place(DATA, "smc #0")
            if el == 1:
                report = guest.enter(f"{stage1(1, *more)} br x2", x2=DATA - 0x4000_0000)
                found = report.level
            else:
                bench = lab.bench()
                mapped(bench, remote=NORMAL, flat=NORMAL | READ_ONLY)
                bench.place(DATA, "smc #0")
                found = bench.run(f"mov x20, #0; {stage1(2, *more)} br x2", el=2, x2=DATA - 0x4000_0000)[20] >> 26 & 1
            assert found == faults

    return probe


def authentication(el: int, bit: int, word: int) -> Callable[[Lab], None]:
    """A probe: an instruction that adds a code to the pointer in X5 does so while its bit is set."""

    def probe(lab: Lab) -> None:
        for more, changes in (((), False), ((bit,), True)):
            bench = lab.bench("max")
            mapped(bench)
            keys = "".join(f"msr s3_0_c2_c{crm}_{op2}, x7; " for crm in range(1, 3) for op2 in range(4))
            code = f"{stage1(el, *more)} .word {word:#x}; smc #0"
            setup = f"{load('x7', 0x1234_5678_9ABC_DEF1)}; {keys} {TO_EL1 if el == 1 else ''}"
            assert (bench.run(setup + code, el=2, x5=DATA, x6=3)[5] != DATA) == changes

    return probe


def at_entry(bit: int, register: str, active: int) -> Callable[[Lab], None]:
    """A probe: a bit of SCTLR_EL1 decides of PSTATE at an exception to EL1."""

    def probe(lab: Lab) -> None:
        found = []
        for value in (0, 1):
            guest = lab.guest("max")
            guest.place(VECTORS + 0x400, f"mrs x26, {register}; smc #0")
            guest.pe.write_sysreg("sctlr_el1", 0x3050_0800 | value << bit)
            found.append(bool(guest.enter("nop", el=0).x[26]))
        assert found == [not active, bool(active)]

    return probe


def dssbs_of_el2(lab: Lab) -> None:
    """PSTATE.SSBS at EL2 after an exception is SCTLR_EL2.DSSBS."""
    found = []
    for value in (0, 1 << 44):
        bench = lab.bench("max")
        bench.place(VECTORS + 0x200, "mrs x26, s3_3_c4_c2_6; smc #0")
        code = f"{load('x8', 0x30C5_0830 | value)}; msr sctlr_el2, x8; isb; svc #0"
        found.append(bool(bench.run(code, el=2)[26]))
    assert found == [False, True]


def counters(lab: Lab, mdcr: int, kind: str = "pmevcntr0_el0") -> list[int]:
    """X5: what a counter at EL2 has counted of ten instructions; X6: PMOVSSET_EL0, from just before an overflow."""
    setup = (
        f"{load('x8', mdcr)}; msr mdcr_el2, x8; {load('x8', 1 << 27 | 8)}; msr pmevtyper0_el0, x8; "
        f"{load('x8', 1 << 27)}; msr pmccfiltr_el0, x8; {load('x8', 0xFFFF_FFFE)}; mov x9, #0; "
        f"msr {kind}, {'x8' if kind == 'pmevcntr0_el0' else 'x9'}; {load('x8', 1 << 31 | 1)}; msr pmcntenset_el0, x8; "
        "mov x8, #1; msr pmcr_el0, x8; isb; "
    )
    code = f"{setup} {'nop; ' * 10} mrs x5, {kind}; mrs x6, pmovsset_el0; smc #0"
    return [int(x) for x in lab.bench().run(code, el=2)]


def hpmn(lab: Lab) -> None:
    """EL1 sees as many counters as HPMN says."""
    for number in (1, 6):
        code = f"mov x8, #{number}; msr mdcr_el2, x8; {TO_EL1} mrs x5, pmcr_el0; smc #0"
        x = lab.bench().run(code, el=2)
        assert x[5] >> 11 & 31 == number


def hpme(lab: Lab) -> None:
    """The counters of EL2 count while HPME is set."""
    assert [counters(lab, mdcr)[5] == 0xFFFF_FFFE for mdcr in (0, 1 << 7)] == [True, False]


def hpmd(lab: Lab) -> None:
    """Those of EL1 do not count at EL2 with HPMD."""
    assert [counters(lab, mdcr)[5] == 0xFFFF_FFFE for mdcr in (6, 6 | 1 << 17)] == [False, True]


def hccd(lab: Lab) -> None:
    """Nor does the cycle counter with HCCD."""
    assert [counters(lab, mdcr, "pmccntr_el0")[5] == 0 for mdcr in (6, 6 | 1 << 23)] == [False, True]


def hlp(lab: Lab) -> None:
    """With HLP, the counters of EL2 overflow at 64 bits."""
    assert [counters(lab, 1 << 7 | mdcr)[6] & 1 for mdcr in (0, 1 << 26)] == [1, 0]


def waits(lab: Lab, register: str, control: int) -> list[int] | None:
    """X5 and X6: the counter after two waits for an event of a stream; None if it never came."""
    bench = lab.bench()
    code = f"mov x1, #{control}; msr {register}, x1; wfe; wfe; mrs x5, cntpct_el0; wfe; mrs x6, cntpct_el0; smc #0"
    bench.place(CODE, code)
    bench.pe.elr, bench.pe.spsr = CODE, 0x3C9
    bench.pe.eret(bench.pe.security, 2)
    bench.machine.run(1_000)
    return bench.el3.calls[-1][5:7] if bench.el3.calls else None


def stream(register: str, field: str) -> Callable[[Lab], None]:
    """A probe of an event stream: on or off, its direction and its bit."""

    def probe(lab: Lab) -> None:
        times = waits(lab, register, 7 << 4 | 4)
        assert times is not None
        if field == "evnten":
            assert waits(lab, register, 7 << 4) is None
        elif field == "evntdir":
            other = waits(lab, register, 7 << 4 | 8 | 4)
            assert other is not None
            assert (times[0] & 0x80, other[0] & 0x80) == (0x80, 0)
        else:
            other = waits(lab, register, 9 << 4 | 4)
            assert other is not None
            assert (times[1] - times[0], other[1] - other[0]) == (0x100, 0x400)

    return probe


EXTERNAL = 0x7000_0000  # where nobody answers
UNMASKED = {"IRQ": 0x345, "FIQ": 0x385, "SError": 0x2C5}
PROBES: dict[tuple[str, str], Callable[[Lab], None]] = {
    ("HCR_EL2", "vm"): hcr_level("vm", "ldr x3, [x2]", 0, 2, x2=0x9000_0000),
    ("HCR_EL2", "ptw"): ptw,
    ("HCR_EL2", "fmo"): hcr_level("fmo", "nop; nop", 0, 2, pending=w.SIGNAL_G0),
    ("HCR_EL2", "imo"): hcr_level("imo", "nop; nop", 0, 2, pending=w.SIGNAL_G1NS),
    ("HCR_EL2", "amo"): hcr_level("amo", "nop; nop", 0, 2, pending=w.SIGNAL_SERROR),
    ("HCR_EL2", "vf"): hcr_level("vf", "nop; nop", 0, 1, RW | Hcr.fmo.mask, x13=UNMASKED["FIQ"]),
    ("HCR_EL2", "vi"): hcr_level("vi", "nop; nop", 0, 1, RW | Hcr.imo.mask, x13=UNMASKED["IRQ"]),
    ("HCR_EL2", "vse"): hcr_level("vse", "nop; nop", 0, 1, RW | Hcr.amo.mask, x13=UNMASKED["SError"]),
    ("HCR_EL2", "fb"): fb,
    ("HCR_EL2", "dc"): hcr_level("dc", "ldr x3, [x2]", 1, 2, RW | 1, x2=NOWHERE + 1),
    ("HCR_EL2", "tsc"): hcr_level("tsc", "nop", 0, 2),
    ("HCR_EL2", "tge"): hcr_level("tge", "nop", 1, 2, el=0),
    ("HCR_EL2", "tea"): hcr_level("tea", "ldr x3, [x2]", 1, 2, x2=EXTERNAL),
    ("HCR_EL2", "apk"): hcr_level("apk", "mrs x5, s3_0_c2_c1_0", 2, 0, cpu="max"),  # type: ignore[arg-type] # a name
    ("HCR_EL2", "api"): api,
    ("HCR_EL2", "fwb"): fwb,
    ("HCR_EL2", "gpf"): gpf,
    ("SCTLR_EL1", "m"): m(1),
    ("SCTLR_EL1", "wxn"): wxn(1),
    ("SCTLR_EL1", "span"): at_entry(23, "s3_0_c4_c2_3", 0),
    ("SCTLR_EL1", "dssbs"): at_entry(44, "s3_3_c4_c2_6", 1),
    ("SCTLR_EL2", "m"): m(2),
    ("SCTLR_EL2", "wxn"): wxn(2),
    ("SCTLR_EL2", "dssbs"): dssbs_of_el2,
    **{
        (f"SCTLR_EL{el}", name): authentication(el, bit, word)
        for el in (1, 2)
        for name, bit, word in (
            ("enia", 31, 0xDAC100C5), ("enib", 30, 0xDAC104C5), ("enda", 27, 0xDAC108C5), ("endb", 13, 0xDAC10CC5),
        )
    },
    ("MDCR_EL2", "hpmn"): hpmn,
    ("MDCR_EL2", "hpme"): hpme,
    ("MDCR_EL2", "hpmd"): hpmd,
    ("MDCR_EL2", "hccd"): hccd,
    ("MDCR_EL2", "hlp"): hlp,
    **{
        (register.upper(), field): stream(register, field)
        for register in ("cntkctl_el1", "cnthctl_el2")
        for field in ("evnten", "evntdir", "evnti")
    },
}  # fmt: skip


class TestBits:
    """What control registers keep, and what is known of each bit."""

    @pytest.mark.parametrize("register", LAYOUTS)
    @pytest.mark.parametrize("cpu", MODELS)
    def test_kept(self, lab: Lab, cpu: str, register: str) -> None:
        """Bits that do nothing read as zero or, RES1, as one, whatever is written; all others as they are written."""
        mask, found = kept(register, cpu), []
        for written in (0, ONES & ~FATAL.get(register, 0)):
            code = f"mrs x2, {register}; msr {register}, x0; mrs x1, {register}; msr {register}, x2; smc #0"
            found.append(lab.bench(cpu).run(code, el=2, x0=written)[1])
        assert found[0] & mask == 0
        assert found[1] & mask == mask & ~FATAL.get(register, 0)
        assert (found[0] ^ found[1]) & ~mask == 0
        layout = LAYOUTS[register]
        assert mask & ~sum(field.mask for field in layout.fields().values()) == 0

    @pytest.mark.parametrize("register", LAYOUTS)
    def test_complete(self, register: str) -> None:
        """Each field that is kept has a trap's row, a probe, or a row in the list; and just one of the last two."""
        layout = LAYOUTS[register]
        offered = {name for cpu in MODELS for name in bits(layout, kept(register, cpu))}
        rows = sum({row.mask for row in traps.CONTROLS if row.register == register.lower()})
        trapped = bits(layout, rows)
        probed = {field for name, field in PROBES if name == register}
        listed = {field for gap in UNMODELLED if gap.register == register for field in gap.fields}
        assert offered == trapped & offered | probed | listed
        assert not listed & (probed | trapped)

    @pytest.mark.parametrize("register", CONTROLS)
    def test_features(self, register: str) -> None:
        """What a field needs is a feature that some model claims in an ID register, and another does not."""
        for feature in CONTROLS[register].with_feature:
            claims = [feature in features(cpu) for cpu in MODELS]
            assert any(claims) and not all(claims)

    @pytest.mark.parametrize(("register", "field"), PROBES)
    def test_probe(self, lab: Lab, register: str, field: str) -> None:
        """Code shows that the field works."""
        PROBES[register, field](lab)


class TestList:
    """The list of what is not modelled is no longer than it must be."""

    @pytest.mark.parametrize(
        ("setup", "code"),
        [
            ("mrs x8, sctlr_el2; orr x8, x8, #2; msr sctlr_el2, x8; isb;", "ldr x3, [x2, #1]"),
            ("mrs x8, sctlr_el2; orr x8, x8, #8; msr sctlr_el2, x8; isb;", "mov sp, x2; add sp, sp, #8; ldr x3, [sp]"),
            ("mrs x8, cptr_el2; orr x8, x8, #0x400; msr cptr_el2, x8; isb;", "fmov d0, x2"),
        ],
    )
    def test_is_missing(self, lab: Lab, setup: str, code: str) -> None:
        """What the list says to be missing is missing: if it works one day, its row goes."""
        bench = lab.bench()
        mapped(bench)
        assert bench.run(f"mov x20, #0; {stage1(2)} {setup} {code}; smc #0", el=2, x2=DATA)[20] == 0

    def test_debug(self, lab: Lab) -> None:
        """Registers of debug keep what they are told, and no watchpoint or step comes of it, as their rows say."""
        listed = {(gap.register, field) for gap in UNMODELLED if gap.register not in LAYOUTS for field in gap.fields}
        assert listed == {("MDSCR_EL1", "ss"), ("DBGWCR<n>_EL1", "e")}
        bench = lab.bench()
        bench.vectors()
        code = (
            f"{load('x2', DATA)}; msr dbgwvr0_el1, x2; {load('x3', 0x1FFF)}; msr dbgwcr0_el1, x3; mrs x4, dbgwcr0_el1; "
            f"{load('x5', 1 << 15 | 1 << 13 | 1)}; msr mdscr_el1, x5; mrs x6, mdscr_el1; mov x20, #0; isb; "
            "msr daifclr, #8; ldr x7, [x2]; str x7, [x2]; nop; smc #0"
        )
        x = bench.run(code, el=1)
        assert (x[4], x[6], x[20]) == (0x1FFF, 1 << 15 | 1 << 13 | 1, 0)

    def test_what_el3_sets(self) -> None:
        """SCR_EL3, which only the monitor in Python writes, has no bit that does nothing."""
        machine = Machine(Board.load("fvp"), cpu="max")
        boot(machine, rmm=Rmm(machine), ns_image=bytes(4))
        works = Scr.make(ns=1, nse=1, irq=1, fiq=1, ea=1, hce=1, rw=1, st=1, apk=1, api=1, gpf=1) | 0x30
        assert [hex(scr & ~works) for scr in machine.scr] == ["0x0"] * len(machine.scr)
        machine.close()
