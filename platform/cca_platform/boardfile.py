"""The schema of a board's TOML file. What is said of a field here is in messages and in the reference."""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from cca_platform.schema import Address, Frequency, Intid, Name

__all__ = [
    "MOST_PER_TICK", "TABLES", "BankTable", "BoardFile", "BootTable", "DeviceTable", "GicTable", "PeTable", "PsciTable",
    "RegionTable", "SmcccTable", "UidTable", "WindowKeys",
]  # fmt: skip

MOST_PER_TICK: Final = 1_000_000
_MOST_PES: Final = 256
_Space = Literal["secure", "non_secure", "realm", "root"]
_Unmapped = Literal["abort", "raz"]
_Mpidr = Annotated[int, Meta(ge=0, le=(1 << 40) - 1)]


class BankTable(Struct, frozen=True, forbid_unknown_fields=True):
    """A bank of DRAM: one to four, in whole granules of 4 KiB, apart from each other and from devices."""

    base: Annotated[Address, Meta(description="its first physical address")]
    size: Annotated[Address, Meta(description="its bytes")]


class NonvolatileTable(BankTable, frozen=True):
    """Non-secure DRAM that a system reset keeps, in whole granules."""


class RegionTable(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of DRAM, inside one bank. Those named ``secure``, ``realm_image`` and ``root`` belong to the firmware."""

    name: Annotated[Name, Meta(description="its purpose")]
    base: Annotated[Address, Meta(description="its first physical address")]
    size: Annotated[Address, Meta(description="its bytes")]
    pas: Annotated[_Space, Meta(description="the physical address space that the boot assigns it to")]


class DeviceTable(Struct, frozen=True):
    """A device, in whole pages of 4 KiB. Further keys depend on its kind."""

    name: Annotated[Name, Meta(description="its name, which nothing but windows may share")]
    kind: Annotated[Name, Meta(description="its model, or `window`")]
    base: Annotated[Address, Meta(description="its first physical address")]
    size: Annotated[Address, Meta(description="its bytes")]
    irq: Annotated[Intid, Meta(description="its interrupt (INTID), an SPI of the GIC; 0: none")] = 0
    pas: Annotated[
        _Space | Annotated[list[_Space], Meta(min_length=1)] | UnsetType,
        Meta(description="the physical address spaces in which it responds: all unless given"),
    ] = UNSET
    unmapped: Annotated[_Unmapped | UnsetType, Meta(description="of a window: accesses abort, or read as zero")] = UNSET
    why: Annotated[str | UnsetType, Meta(description="of a window: why it needs no model")] = UNSET


class WindowKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the map without a model."""

    why: Annotated[str, Meta(description="why it needs no model")] = ""
    unmapped: Annotated[_Unmapped, Meta(description="accesses abort, or read as zero")] = "raz"


class GicTable(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the GICv3 is."""

    distributor: Annotated[Address, Meta(description="the distributor")]
    redistributors: Annotated[Address, Meta(description="the first redistributor; each PE has 128 KiB")]
    spis: Annotated[int, Meta(description="how many SPIs it has, a multiple of 32", ge=32, le=960)]


class PeTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The PEs and their counter."""

    mpidrs: Annotated[
        list[_Mpidr],
        Meta(description="MPIDR_EL1 of each PE, each with its own affinity", min_length=1, max_length=_MOST_PES),
    ]
    counter_hz: Annotated[Frequency, Meta(description="the frequency of the system counter")]
    pa_bits: Annotated[Literal[32, 36, 40, 42, 44, 48], Meta(description="bits of a physical address")]
    pps_bits: Annotated[
        Literal[32, 36, 40, 42, 44, 48, 52], Meta(description="bits of the space that granule protection covers")
    ]
    instructions_per_tick: Annotated[
        int, Meta(description="instructions for a tick of the system counter", ge=1, le=MOST_PER_TICK)
    ] = 1


class BootTable(Struct, frozen=True, forbid_unknown_fields=True):
    """What the boot does."""

    ns_entry: Annotated[Address, Meta(description="where a raw Non-secure image is loaded and starts")]
    rmm_console: Annotated[str, Meta(description="the UART that the manifest gives the RMM; else the first PL011")] = ""


class PsciTable(Struct, frozen=True, forbid_unknown_fields=True):
    """PSCI of EL3."""

    extended_state_id: Annotated[bool, Meta(description="CPU_SUSPEND takes the extended StateID format")] = False


class UidTable(Struct, frozen=True, forbid_unknown_fields=True):
    """A UID for each range of services."""

    arch: str | UnsetType = UNSET
    sip: str | UnsetType = UNSET
    standard_secure: str | UnsetType = UNSET
    vendor_el3: str | UnsetType = UNSET
    trusted_os: str | UnsetType = UNSET


class SmcccTable(Struct, frozen=True, forbid_unknown_fields=True):
    """Services of EL3."""

    uid: Annotated[
        str | UidTable | UnsetType, Meta(description="the UUID of all ranges of services, or one each")
    ] = UNSET


class BoardFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A board. With ``like``, a file has what is different; without it, a whole board."""

    dram: Annotated[list[BankTable], Meta(description="the banks of DRAM", min_length=1, max_length=4)]
    gic: Annotated[GicTable, Meta(description="where the GICv3 is")]
    pe: Annotated[PeTable, Meta(description="the PEs and their counter")]
    boot: Annotated[BootTable, Meta(description="what the boot does")]
    like: Annotated[str, Meta(description="the bundled board that this one is like")] = ""
    name: Annotated[str, Meta(description="its name; that of the file unless given", max_length=100)] = ""
    unmapped: Annotated[_Unmapped, Meta(description="accesses to nothing abort, or read as zero")] = "abort"
    region: Annotated[list[RegionTable], Meta(description="parts of DRAM with a purpose")] = []
    device: Annotated[list[DeviceTable], Meta(description="the devices")] = []
    nonvolatile: Annotated[list[NonvolatileTable], Meta(description="DRAM that a system reset keeps")] = []
    psci: Annotated[PsciTable, Meta(description="PSCI of EL3")] = PsciTable()
    smccc: Annotated[SmcccTable, Meta(description="services of EL3")] = SmcccTable()


TABLES: Final[dict[str, type[Struct]]] = {
    "[[dram]]": BankTable,
    "[[region]]": RegionTable,
    "[[device]]": DeviceTable,
    "[[nonvolatile]]": NonvolatileTable,
    "[gic]": GicTable,
    "[pe]": PeTable,
    "[boot]": BootTable,
    "[psci]": PsciTable,
    "[smccc]": SmcccTable,
}
"""The tables of a file, in the order of the reference."""
