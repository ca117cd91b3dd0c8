"""What is in each header: the tables that it is written from, in the order of the header."""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from cca_arch import extensions, ffa, gic, psci, smccc, tsp, virtio
from cca_arch.descriptors.stage1 import BLOCK, PAGE, TABLE, Stage1Leaf
from cca_arch.explain import CLASSES, explain_fsc
from cca_arch.fields import Bits, Member, Struct
from cca_arch.rmi import v1_0 as rmi
from cca_arch.rsi import v1_0 as rsi
from cca_arch.sysregs import (
    EL1H_MASKED,
    EL2H_MASKED,
    MPIDR_AFFINITY,
    CntCtl,
    Cpacr,
    Hcr,
    IccSgi,
    IchHcr,
    IchLr,
    IchMisr,
    IchVmcr,
    LrState,
    Mpidr,
    Par,
    Pstate,
    Sctlr,
    Tcr,
    TcrEl2,
)
from cca_arch.sysregs.syndrome import DataAbortEsr, Ec, Fsc, ImmediateEsr, SErrorEsr, SysregEsr, WfxEsr
from cca_arch.virtio import balloon, block, mmio, ring
from cca_host.kvmtool import layout
from cca_host.kvmtool.console import CONSOLE_BYTES, HOST_CALL_IMM, HostFunction
from cca_platform.board import Board

__all__ = ["BOARDS", "HEADERS", "WORDS", "Fields", "Header", "Item", "Layout", "Numbers"]


_CODES: Final = {code: explain_fsc(code) for code in range(Fsc.UNSUPPORTED_EXCLUSIVE + 1)}
WORDS: Final = {
    "EC_WORDS": ("Exception classes", CLASSES),
    "FSC_WORDS": ("Fault status codes", {code: text for code, text in _CODES.items() if f"{code:#x}" not in text}),
}
"""Numbers in words."""


class Numbers(NamedTuple):
    """Constants ``prefix`` + name."""

    title: str
    prefix: str
    values: type[IntEnum] | Mapping[str, int]

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Name and value of each; a negative status of 64 bits is a negative number."""
        names = self.values.__members__ if isinstance(self.values, type) else self.values
        return [(self.prefix + name, _signed(int(value))) for name, value in names.items()]


class Fields(NamedTuple):
    """The fields of a register, a descriptor or a word of flags."""

    title: str
    prefix: str
    bits: type[Bits]
    inherited: bool = True


class Layout(NamedTuple):
    """A structure in memory. ``parts`` are the members that are structures themselves."""

    struct: Struct
    parts: Mapping[str, Struct] = {}

    def laid_out(self) -> Iterator[Member | int]:
        """The members in the order of memory, and between and behind them the bytes of each gap."""
        at = 0
        for member in sorted(self.struct.members.values(), key=lambda one: one.offset):
            if member.offset > at:
                yield member.offset - at
            yield member
            at = member.offset + member.size * member.count
        if self.struct.size > at:
            yield self.struct.size - at


Item = Numbers | Fields | Layout


class Header(NamedTuple):
    """A header and what it has."""

    about: str
    items: tuple[Item, ...]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def board_header(name: str) -> Header:
    """The memory map of a bundled board: DRAM, where Non-secure software starts, the firmware's worlds, its devices."""
    board = Board.load(name)
    memory = {"DRAM": board.banks[0].base, "NS_ENTRY": board.ns_entry}
    for region in board.regions:
        memory |= {region.name.upper(): region.base, f"{region.name.upper()}_SIZE": region.size}
    devices: dict[str, int] = {}
    for row in board.devices:
        if row.kind in _NO_DEVICES:
            continue
        own = row.name.upper().replace("-", "_")
        devices |= {own: row.base} | ({f"{own}_INTID": row.irq} if row.irq else {})
    frames = {"GICD": board.gic.distributor, "GICR": board.gic.redistributors}
    return Header(
        f"The board {name}: its memory map and its interrupts",
        (
            Numbers("DRAM, the start of Non-secure software in it, and the firmware's worlds", "BOARD_", memory),
            Numbers("The frames of the GIC", "BOARD_", frames),
            Numbers("Devices, and their interrupts", "BOARD_", devices),
        ),
    )


_NO_DEVICES: Final = {"window", "ram", "pcie-window"}

HEADERS: Final[dict[str, Header]] = {
    "rsi": Header(
        "RSI 1.0 (DEN0137): what a Realm calls",
        (
            Numbers("Functions", "RSI_", rsi.Rsi),
            Numbers("The interface that this is", "RSI_", {"ABI_1_0": rmi.ABI_VERSION}),
            Fields("RsiInterfaceVersion", "RSI_VERSION_", rmi.InterfaceVersion),
            Numbers("RsiCommandReturnCode: X0 of every function", "RSI_", rsi.RsiStatus),
            Numbers("RsiHashAlgorithm", "RSI_HASH_", rmi.HashAlgorithm),
            Numbers("RsiRipas", "RSI_", rmi.RmiRipas),
            Numbers("RsiResponse", "RSI_", rmi.RmiResponse),
            Fields("RsiRipasChangeFlags", "RSI_CHANGE_", rsi.RsiRipasChangeFlags),
            Numbers("The same without a flag", "RSI_", {"NO_CHANGE_DESTROYED": 0}),
            Layout(rsi.RsiRealmConfig),
            Layout(rsi.RsiHostCall),
        ),
    ),
    "sealing": Header(
        "Sealing keys, an extension of Realmlab's RMM (realmlab run --extension sealing)",
        (
            Numbers("Functions", "", extensions.Sealing),
            Fields("SEALING_FEATURES, index 0", "SEALING_FEATURES_", extensions.SealingFeatures),
            Fields("What a key depends on: X1 of SEALING_KEY", "SEALING_KEY_", extensions.SealingFlags),
        ),
    ),
    "paging": Header(
        "Paging, an extension of Realmlab's RMM (realmlab run --extension paging)",
        (
            Numbers("Functions", "", extensions.Paging),
            Fields("PAGING_FEATURES, index 0", "PAGING_FEATURES_", extensions.PagingFeatures),
            Numbers("RmiRttEntryState of a page that is out", "RMI_", extensions.PagedState),
        ),
    ),
    "virtio": Header(
        "Virtio 1.2: device types, status, split virtqueues, the MMIO transport, block devices",
        (
            Numbers("Device types", "VIRTIO_ID_", virtio.DeviceId),
            Fields("The device status", "VIRTIO_STATUS_", virtio.DeviceStatus),
            Numbers("Bit numbers of the features of every device", "VIRTIO_F_", virtio.Feature),
            Fields("The interrupt status", "VIRTIO_INTERRUPT_", virtio.InterruptStatus),
            Numbers("What the first registers read", "VIRTIO_MMIO_", {"MAGIC": mmio.MAGIC, "VERSION_2": mmio.VERSION}),
            Numbers("Bytes of a frame", "VIRTIO_MMIO_", {"FRAME_SIZE": mmio.FRAME_SIZE}),
            Numbers("Registers of the MMIO transport", "VIRTIO_MMIO_", mmio.MmioRegister),
            Layout(ring.VirtqDesc),
            Fields("VirtqDesc.flags", "VIRTQ_DESC_", ring.DescFlags),
            Layout(ring.VirtqUsedElem),
            Numbers("VirtioBlkReq.type", "VIRTIO_BLK_T_", block.BlockRequest),
            Numbers("The last byte of a request", "VIRTIO_BLK_S_", block.BlockStatus),
            Numbers("Bytes of a sector", "VIRTIO_BLK_", {"SECTOR": block.SECTOR}),
            Layout(block.VirtioBlkReq),
            Layout(balloon.VirtioBalloonConfig),
        ),
    ),
    "rmi": Header(
        "RMI 1.0 (DEN0137): what the Host calls",
        (
            Numbers("Functions", "RMI_", rmi.Rmi),
            Numbers("The interface that this is", "RMI_", {"ABI_1_0": rmi.ABI_VERSION}),
            Fields("RmiInterfaceVersion", "RMI_VERSION_", rmi.InterfaceVersion),
            Fields("RmiCommandReturnCode: X0 of every function", "RMI_RETURN_", rmi.RmiReturn),
            Numbers("RmiStatusCode", "RMI_", rmi.RmiStatus),
            Fields("RmiFeatureRegister0", "RMI_FEATURE_REGISTER_0_", rmi.FeatureRegister0),
            Numbers("RmiHashAlgorithm", "RMI_HASH_", rmi.HashAlgorithm),
            Numbers("RmiRecExitReason", "RMI_EXIT_", rmi.RecExitReason),
            Numbers("RmiRttEntryState", "RMI_", rmi.RmiRttEntryState),
            Numbers("RmiRipas", "RMI_", rmi.RmiRipas),
            Numbers("RmiResponse", "RMI_", rmi.RmiResponse),
            Numbers("RmiPmuOverflowStatus", "RMI_PMU_OVERFLOW_", rmi.PmuOverflowStatus),
            Fields("RmiRealmFlags", "RMI_REALM_FLAG_", rmi.RmiRealmFlags),
            Fields("RmiDataFlags", "RMI_DATA_FLAG_", rmi.RmiDataFlags),
            Fields("RmiRecCreateFlags", "RMI_REC_FLAG_", rmi.RecCreateFlags),
            Fields("RmiRecEnterFlags", "RMI_ENTER_", rmi.RecEnterFlags),
            Fields("RmiRecMpidr", "RMI_MPIDR_", rmi.RecMpidr),
            Layout(rmi.RmiRealmParams),
            Layout(rmi.RmiRecParams),
            Layout(rmi.RmiRecEnter),
            Layout(rmi.RmiRecExit),
            Layout(rmi.RmiRecRun, {"enter": rmi.RmiRecEnter, "exit": rmi.RmiRecExit}),
        ),
    ),
    "psci": Header(
        "PSCI 1.1 (DEN0022): power control, by the firmware for a machine and by the RMM for a Realm",
        (
            Numbers("Functions", "PSCI_", psci.Psci),
            Numbers("The interface that this is", "PSCI_", {"1_1": psci.PSCI_VERSION}),
            Numbers("X0 of a function", "PSCI_", psci.PsciStatus),
            Numbers("X0 of AFFINITY_INFO", "PSCI_AFFINITY_", psci.AffinityInfo),
            Fields("power_state of CPU_SUSPEND", "PSCI_POWER_STATE_", psci.PowerState),
            Fields("power_state of CPU_SUSPEND, extended", "PSCI_POWER_STATE_EXTENDED_", psci.ExtendedPowerState),
        ),
    ),
    "smccc": Header(
        "The SMC Calling Convention (DEN0028)",
        (
            Numbers("Functions of the architecture", "SMCCC_", smccc.Smccc),
            Numbers("X0 of a function that is not there", "SMCCC_", {"NOT_SUPPORTED": smccc.NOT_SUPPORTED}),
            Fields("A function identifier", "SMCCC_FID_", smccc.Fid),
        ),
    ),
    "esr": Header(
        "Exception syndromes (DDI 0487, ESR_ELx)",
        (
            Numbers("Exception classes; _SAME is taken from the level that takes it", "EC_", Ec),
            Numbers("Fault status codes; for a table walk, add the level", "FSC_", Fsc),
            Fields("Aborts", "ESR_", DataAbortEsr),
            Fields("SVC, HVC, SMC and BRK", "ESR_", ImmediateEsr, inherited=False),
            Fields("A trapped MSR, MRS or SYS", "ESR_SYS_", SysregEsr, inherited=False),
            Fields("A trapped WFI or WFE", "ESR_WFX_", WfxEsr, inherited=False),
            Fields("An SError", "ESR_SERROR_", SErrorEsr, inherited=False),
        ),
    ),
    "gic": Header(
        "GICv3 (IHI 0069): interrupt IDs, frames and the CPU interface",
        (
            Numbers("Private interrupts of the Base System Architecture", "INTID_", gic.Ppi),
            Numbers(
                "Where the kinds of interrupts begin, and the INTID that says there is none", "INTID_",
                {"SPI": gic.FIRST_SPI, "SPECIAL": gic.FIRST_SPECIAL, "SPURIOUS": gic.SPURIOUS, "LPI": gic.FIRST_LPI},
            ),
            Numbers("The distributor's frame", "GICD_", gic.Gicd),
            Fields("GICD_CTLR, as Non-secure accesses and a Realm see it", "GICD_CTLR_", gic.GicdCtlrNs),
            Fields("GICD_TYPER", "GICD_TYPER_", gic.GicdTyper),
            Fields("GICD_IROUTER", "GICD_IROUTER_", gic.GicdIrouter),
            Numbers("A redistributor's first frame", "GICR_", gic.Gicr),
            Numbers(
                "Its second one has the distributor's registers for SGIs and PPIs; then comes the next redistributor",
                "GICR_", {"SGI": gic.GICR_SGI_BASE, "STRIDE": gic.GICR_STRIDE},
            ),
            Fields("GICR_TYPER", "GICR_TYPER_", gic.GicrTyper),
            Fields("GICR_WAKER", "GICR_WAKER_", gic.GicrWaker),
            Fields("ICC_SGI1R_EL1", "ICC_SGI1R_", IccSgi),
            Fields("ICH_LR<n>_EL2, RmiRecRun.gicv3_lrs", "ICH_LR_", IchLr),
            Numbers("Its state", "ICH_LR_STATE_", LrState),
            Fields("ICH_HCR_EL2, RmiRecRun.gicv3_hcr", "ICH_HCR_", IchHcr),
            Fields("ICH_MISR_EL2, RmiRecRun.gicv3_misr", "ICH_MISR_", IchMisr),
            Fields("ICH_VMCR_EL2, RmiRecRun.gicv3_vmcr", "ICH_VMCR_", IchVmcr),
        ),
    ),
    "sysreg": Header(
        "System registers (DDI 0487, D24) and stage 1 descriptors (D8.3): their fields",
        (
            Fields("SCTLR_EL1, and SCTLR_EL2 where it has the field", "SCTLR_", Sctlr),
            Fields("TCR_EL1", "TCR_", Tcr),
            Fields("TCR_EL2", "TCR_EL2_", TcrEl2),
            Fields("HCR_EL2", "HCR_", Hcr),
            Fields("CPACR_EL1", "CPACR_", Cpacr),
            Fields("PSTATE in SPSR_ELx", "PSTATE_", Pstate),
            Numbers("PSTATE of code that starts, interrupts masked", "PSTATE_",
                    {"EL1H_MASKED": EL1H_MASKED, "EL2H_MASKED": EL2H_MASKED}),
            Fields("MPIDR_EL1", "MPIDR_", Mpidr),
            Numbers("Aff3 to Aff0", "MPIDR_", {"AFFINITY": MPIDR_AFFINITY}),
            Fields("CNTV_CTL_EL0, CNTP_CTL_EL0, CNTHP_CTL_EL2, CNTHV_CTL_EL2", "CNT_CTL_", CntCtl),
            Fields("PAR_EL1 after an AT that succeeded", "PAR_", Par),
            Numbers("Types of stage 1 descriptors", "S1_", {"BLOCK": BLOCK, "PAGE": PAGE, "TABLE": TABLE}),
            Fields("A page or block descriptor of stage 1", "S1_", Stage1Leaf),
        ),
    ),
    "ffa": Header(
        "FF-A 1.1 (DEN0077A)",
        (
            Numbers("Functions", "FFA_", ffa.Ffa),
            Numbers("The interface that this is", "FFA_", {"1_1": ffa.FFA_VERSION}),
            Numbers("W2 of FFA_ERROR", "FFA_", ffa.FfaStatus),
            Numbers("The partition manager, and the Secure payload", "FFA_ID_",
                    {"SPMC": ffa.SPMC_ID, "PARTITION": ffa.PARTITION_ID}),
        ),
    ),
    "tsp": Header(
        "The calls of a Secure payload to EL3, which are those of TF-A's dispatcher for its test payload",
        (
            Numbers("Functions: what has been done", "TSP_", tsp.Tsp),
            Numbers("Calls of Non-secure software about a preempted call, and what they return", "TSP_",
                    {"RESUME": tsp.RESUME, "ABORT": tsp.ABORT, "IS_PREEMPTED": tsp.PREEMPTED}),
        ),
    ),
    "host": Header(
        "Realmlab's host: its functions behind RSI_HOST_CALL, and its map of a Realm",
        (
            Numbers("The immediate", "HOST_", {"CALL_IMM": HOST_CALL_IMM}),
            Numbers("gprs[0]; the result comes back there", "HOST_", HostFunction),
            Numbers("The most bytes of a CONSOLE_WRITE", "HOST_", {"CONSOLE_MAX": CONSOLE_BYTES}),
            Numbers(
                "IPAs. Devices are in the shared half: set the highest bit of the IPA width", "REALM_",
                {
                    "RAM": layout.RAM_BASE, "UART": layout.UART_BASE, "RTC": layout.RTC_BASE,
                    "GICD": layout.DISTRIBUTOR_BASE,
                },
            ),
            Numbers(
                "Interrupts of the devices: INTIDs", "REALM_",
                {"UART_INTID": layout.UART_SPI, "RTC_INTID": layout.RTC_SPI},
            ),
        ),
    ),
}  # fmt: skip
"""Each header by the name of its file, without the suffix."""

BOARDS: Final = {f"board_{name}": board_header(name) for name in ("fvp", "virt")}
"""Those of the boards, of which a program includes one."""
