"""The page of what a Realm sees: its text, and the tables and numbers in it from the code."""

from importlib import resources
from string import Template
from typing import Final

from cca_arch.explain import CLASSES, explain_fsc
from cca_arch.gic import FIRST_SPI, GICR_SGI_BASE, GICR_STRIDE, SPURIOUS, Gicd, Gicr, Ppi
from cca_arch.rmi.v1_0 import mpidr_of
from cca_arch.rsi.v1_0 import RsiHostCall
from cca_arch.sysregs import FSC_LEVEL, VECTOR_LOWER, VECTOR_SPX, AbortEsr, CntCtl, Cpacr, Ec, Esr, Fsc, Vector
from cca_host.kvm.vgic import INTIDS
from cca_host.kvmtool.console import CONSOLE_BYTES, HOST_CALL_IMM, HostFunction
from cca_host.kvmtool.layout import (
    DISTRIBUTOR_BASE,
    DTB_SIZE,
    RAM_BASE,
    RTC_BASE,
    RTC_SPI,
    UART_BASE,
    UART_SPI,
    dtb_base,
)
from cca_host.kvmtool.options import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_RESET, RunOptions
from cca_platform.board import Board
from cca_tools.reference.text import NOTE, table

__all__ = ["realm"]

_DEFAULT: Final = RunOptions(payload="")
_WIDTHS: Final = (_DEFAULT.ipa_width, 40, 48)
_VCPUS: Final = (0, 1, 2, 15, 16, 17, 31, 32, 255, 256)
_TEXT: Final = "realm.md"
_PPIS: Final = {
    Ppi.CNTV: "the virtual timer: use this one",
    Ppi.CNTP: "the physical timer",
    Ppi.PMU: "the PMU: a counter has overflowed (`--pmu`)",
}
_REGISTERS: Final = {
    Gicd.CTLR: "bit 1 (EnableGrp1) forwards interrupts; ARE and DS read as one",
    Gicd.TYPER: "how many INTIDs there are",
    Gicd.ISENABLER: "a bit for each INTID, n = INTID / 32; a one enables",
    Gicd.ICENABLER: "a one disables",
    Gicd.ISPENDR: "a one makes it pending",
    Gicd.ICPENDR: "a one makes it not pending",
    Gicd.ISACTIVER: "a one makes it active",
    Gicd.ICACTIVER: "a one makes it inactive",
    Gicd.IPRIORITYR: "a byte for each INTID; 0 is the most urgent",
    Gicd.ICFGR: "two bits for each INTID; 0b10 is edge-triggered",
    Gicd.IROUTER: "8 bytes for each SPI: the affinity of the vCPU that takes it",
}
_KINDS: Final = {Vector.SYNCHRONOUS: "synchronous", Vector.SERROR: "SError"}
_CLASSES: Final = (
    Ec.UNKNOWN, Ec.FP_ASIMD, Ec.ILLEGAL_STATE, Ec.SVC, Ec.INSTRUCTION_ABORT, Ec.INSTRUCTION_ABORT_SAME, Ec.PC_ALIGNMENT,
    Ec.DATA_ABORT, Ec.DATA_ABORT_SAME, Ec.SP_ALIGNMENT, Ec.SERROR, Ec.BRK,
)  # fmt: skip
"""The exception classes that a Realm meets at EL1."""
_LEVELS: Final = (Fsc.ADDRESS_SIZE, Fsc.TRANSLATION, Fsc.ACCESS_FLAG, Fsc.PERMISSION, Fsc.EXTERNAL_WALK)
_FAULTS: Final = (*_LEVELS, Fsc.EXTERNAL, Fsc.ALIGNMENT, Fsc.UNSUPPORTED_EXCLUSIVE)
_SINGLE: Final = (Gicd.CTLR, Gicd.TYPER)
"""The registers of which there is only one."""
_FUNCTIONS: Final = {
    HostFunction.CONSOLE_WRITE: (
        "writes to the console",
        f"`gprs[1]` bytes (at most {CONSOLE_BYTES}), packed into `gprs[2]` to `gprs[30]`, little-endian",
        "0",
    ),
    HostFunction.EXIT: ("ends the run", "`gprs[1]`: the exit status, 0 to 255", "none: the Realm does not go on"),
    HostFunction.GIVE_UP: (
        "ends the run as EXIT does, from the handler of an exception that the Realm does not expect, which the report "
        "of the run then explains",
        "`gprs[1]`: the exit status, 0 to 255",
        "none: the Realm does not go on",
    ),
    HostFunction.GET_TICKS: ("reads the system counter of the host", "none", "its value"),
}


def realm() -> str:
    """The page."""
    text = resources.files("cca_tools.reference").joinpath(_TEXT).read_text(encoding="utf-8")
    parts = {**_memory(), **_vcpus(), **_exceptions(), **_interrupts(), **_timers(), **_floating_point(), **_host()}
    used = set(Template(text).get_identifiers())
    if used != parts.keys():
        raise ValueError(f"{_TEXT} must use each part once, not {sorted(used.symmetric_difference(parts))}")
    return f"{NOTE}\n{Template(text).substitute(parts)}"


def _memory() -> dict[str, str]:
    width, memory = _DEFAULT.ipa_width, _DEFAULT.memory
    bit = 1 << width - 1
    frames = f"- (vcpus - n) * {GICR_STRIDE:#x}`"
    rows = (
        ("RAM", f"`{RAM_BASE:#x}`", "there", f"as much as `--memory` says ({memory >> 20}M); RIPAS RAM, zero"),
        (
            "device tree", f"`{dtb_base(memory):#x}`", "there",
            f"in the last aligned {DTB_SIZE >> 20} MiB of RAM; X0 has its address",
        ),
        (
            "UART", f"`{UART_BASE:#x}`", f"`{UART_BASE | bit:#x}`",
            f"16550A; INTID {UART_SPI}. Its registers again, one a page, follow",
        ),
        ("RTC", f"`{RTC_BASE:#x}`", f"`{RTC_BASE | bit:#x}`", f"PL031, the date; its alarm is INTID {RTC_SPI}"),
        ("GICD", f"`{DISTRIBUTOR_BASE:#x}`", f"`{DISTRIBUTOR_BASE | bit:#x}`", "the distributor of the GICv3"),
        (
            "GICR of vCPU n", f"`{DISTRIBUTOR_BASE:#x} {frames}", f"`{DISTRIBUTOR_BASE | bit:#x} {frames}",
            f"its redistributor: RD_base, with SGI_base `{GICR_SGI_BASE:#x}` above. With one vCPU, "
            f"`{DISTRIBUTOR_BASE - GICR_STRIDE | bit:#x}`",
        ),
    )  # fmt: skip
    halves = (
        (
            f"{one}",
            f"{one - 1}: `{1 << one - 1:#x}`",
            f"`{RAM_BASE | 1 << one - 1:#x}`",
            f"`0x0` to `{(1 << one - 1) - 1:#x}`",
            f"`{1 << one - 1:#x}` to `{(1 << one) - 1:#x}`",
        )
        for one in _WIDTHS
    )
    return {
        "addresses": table(("What", "IPA", f"Accessed at (`--ipa-width {width}`)", "About it"), rows),
        "aliases": table(
            ("`ipa_width`", "Shared bit", "Alias of the start of RAM", "Protected", "Unprotected"), halves
        ),
    }


def _vcpus() -> dict[str, str]:
    from cca_rmm.objects.rec import REC_RESET, vmpidr

    entry = (
        ("PC", "the entry point of the ELF file, or the first byte of a raw binary; on other vCPUs what CPU_ON gave"),
        ("X0", "the IPA of the device tree; on other vCPUs the context ID that CPU_ON gave"),
        ("X1 to X30, SP", "zero: set SP before you call a function"),
        ("PSTATE", f"`{REC_RESET['pstate']:#x}`: EL1h, with D, A, I and F masked"),
        (
            "SCTLR_EL1",
            f"`{REC_RESET['sctlr_el1']:#x}`: RES1 bits alone; MMU (M), caches (C, I) and checks (A, SA) are off",
        ),
        ("VBAR_EL1", "zero: set it first, or the first exception goes on and on without a vector"),
        ("CPACR_EL1", "zero: [FP and SIMD](#floating-point-and-simd) are off"),
        ("TTBR0_EL1, TTBR1_EL1, TCR_EL1, MAIR_EL1", "zero"),
        ("CNTV_CTL_EL0, CNTP_CTL_EL0", "zero: both timers are off"),
        ("ICC_PMR_EL1, ICC_IGRPEN1_EL1", "zero: no interrupt is signalled"),
    )
    affinities = ((f"{index}", int(mpidr_of(index))) for index in _VCPUS)
    rows = ((index, f"`{affinity:#x}`", f"`{vmpidr(affinity):#x}`") for index, affinity in affinities)
    return {
        "entry": table(("Register", "Value"), entry),
        "mpidrs": table(("vCPU n", "Affinity", "MPIDR_EL1"), rows),
    }


def _exceptions() -> dict[str, str]:
    quarters = ((0, "EL1 with SP_EL0"), (VECTOR_SPX, "EL1 with SP_EL1: the usual one"), (VECTOR_LOWER, "EL0"))
    vectors = (
        (f"`{base + int(one):#05x}`", f"{_KINDS.get(one, one.name)}, from {where}")
        for base, where in quarters
        for one in Vector
    )
    classes = ((f"`{ec:#04x}`", meaning) for ec, meaning in sorted(CLASSES.items()) if ec in _CLASSES)
    faults = ((_fault_codes(int(one)), explain_fsc(one).replace("level 0", "the level in bits 1:0")) for one in _FAULTS)
    return {
        "vectors": table(("Offset", "Exception"), vectors),
        "ec_bits": f"{Esr.ec.high}:{Esr.ec.low}",
        "fsc_bits": f"{AbortEsr.fsc.high}:{AbortEsr.fsc.low}",
        "classes": table(("EC", "Exception"), classes),
        "faults": table(("Fault status code", "Fault"), faults),
    }


def _fault_codes(first: int) -> str:
    return f"`{first:#04x}` to `{first + FSC_LEVEL:#04x}`" if first in _LEVELS else f"`{first:#04x}`"


def _interrupts() -> dict[str, str]:
    kinds = (
        (f"0 to {FIRST_SPI // 2 - 1}", "SGIs: from one vCPU to another, by ICC_SGI1R_EL1"),
        *((f"{int(ppi)}", f"PPI: {about}") for ppi, about in sorted(_PPIS.items())),
        (f"{FIRST_SPI} to {INTIDS - 1}", "SPIs: of the devices above, and software can make each pending"),
        (f"{SPURIOUS}", "what ICC_IAR1_EL1 reads if there is nothing to acknowledge"),
    )
    registers = (
        (f"`{int(one):#x}`", f"`GICD_{one.name}{'' if one in _SINGLE else '<n>'}`", about)
        for one, about in _REGISTERS.items()
    )
    return {
        "intids": table(("INTID", "What it is"), kinds),
        "registers": table(("Offset", "Register", "Meaning"), registers),
        "isenabler0": f"{GICR_SGI_BASE + Gicd.ISENABLER:#x}",
        "typer": f"{int(Gicr.TYPER):#x}",
        "waker": f"{int(Gicr.WAKER):#x}",
    }


def _timers() -> dict[str, str]:
    enable, mask, status = CntCtl.enable.low, CntCtl.imask.low, CntCtl.istatus.low
    rows = (
        ("CNTFRQ_EL0", f"ticks a second: {Board.load('fvp').counter_hz} on the bundled boards"),
        ("CNTVCT_EL0, CNTPCT_EL0", "the counter"),
        ("CNTV_TVAL_EL0", "write n, and the timer fires in n ticks"),
        ("CNTV_CVAL_EL0", "the counter value at which it fires"),
        ("CNTV_CTL_EL0", f"bit {enable} ENABLE, bit {mask} IMASK, bit {status} ISTATUS: the time has come"),
    )
    return {
        "timers": table(("Register", "Meaning"), rows),
        "cntv": f"{int(Ppi.CNTV)}",
        "cntp": f"{int(Ppi.CNTP)}",
    }


def _floating_point() -> dict[str, str]:
    fpen = Cpacr.fpen
    return {"fp_ec": f"{int(Ec.FP_ASIMD):#04x}", "fpen": f"{fpen.mask:#x}", "fpen_bits": f"{fpen.high}:{fpen.low}"}


def _host() -> dict[str, str]:
    from cca_rmm.commands.attestation import MAX_TOKEN
    from cca_rmm.objects.realm import REM_COUNT

    functions = ((f"{int(one)}", f"{one.name}: {_FUNCTIONS[one][0]}", *_FUNCTIONS[one][1:]) for one in HostFunction)
    ends = (
        ("host call EXIT", "what it says, 0 to 255"),
        ("PSCI_SYSTEM_OFF", "0"),
        ("PSCI_SYSTEM_RESET", f"{EXIT_RESET}, for a Realm cannot be started again: Linux has panicked, or reboots"),
        ("`--until`", "0"),
        ("`--reject`; `--expect` that no line matches", "1"),
        (
            "an exit that the host cannot resolve, exceptions without end, a wait without end",
            f"{EXIT_FAILED}, and a line that names the cause",
        ),
        ("`--max-insns`, `--timeout`, `--silence`", f"{EXIT_LIMIT}"),
        ("Ctrl-C", f"{EXIT_INTERRUPTED}"),
        ("SIGTERM, SIGHUP", "128 and the number of the signal, 143 or 129; the VM is destroyed as for Ctrl-C"),
    )
    return {
        "functions": table(("`gprs[0]`", "Function", "Arguments", "Result"), functions),
        "ends": table(("What ends it", "Status of `realmlab run`"), ends),
        "imm": f"{HOST_CALL_IMM:#x}",
        "rems": f"{REM_COUNT}",
        "token": f"{MAX_TOKEN}",
        "host_call_size": f"{RsiHostCall.size:#x}",
    }
