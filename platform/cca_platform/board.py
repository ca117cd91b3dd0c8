"""Boards: where memory, devices and PEs are. A board is data: one TOML file."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from cca_arch.gic import GICD_SIZE, GICR_STRIDE
from cca_arch.sysregs import MPIDR_AFFINITY
from cca_arch.types import GRANULE_SIZE, Pas
from cca_platform.boardfile import BoardFile, DeviceTable, UidTable, WindowKeys
from cca_platform.errors import MachineError
from cca_platform.schema import SchemaError, fit, parse_toml, within
from cca_platform.userfiles import KINDS, read_text, shown

__all__ = ["WINDOW", "Bank", "Board", "DeviceRow", "GicFrames", "Region", "names", "nonvolatile_bank"]

_FOLDER = Path(__file__).parent / "boards"
WINDOW: Final = "window"
"""The kind of a frame without a model: no device claims it."""
_UUID: Final = "00112233-4455-6677-8899-aabbccddeeff"
_DEVICE_KEYS: Final = {"name", "kind", "base", "size", "irq", "pas"}
_SPACES: Final = tuple(pas.name.lower() for pas in Pas)
_MOST_DRAM: Final = 1 << 38


class Bank(Struct, frozen=True):
    """A bank of DRAM: ``size`` bytes at physical address ``base``."""

    base: int
    size: int

    @property
    def top(self) -> int:
        """The first address after the bank."""
        return self.base + self.size


class Region(Struct, frozen=True):
    """A part of DRAM with a purpose, and the PAS that the boot firmware assigns to it."""

    name: str
    base: int
    size: int
    pas: Pas

    @property
    def top(self) -> int:
        """The first address after the region."""
        return self.base + self.size


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device frame. The kind names the model; ``irq`` is the interrupt number (INTID) or 0.

    It responds in the physical address spaces ``pases``. ``options`` are the other keys of its row.
    """

    name: str
    kind: str
    base: int
    size: int
    irq: int = 0
    pases: tuple[Pas, ...] = tuple(Pas)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def top(self) -> int:
        """The first address after the frame."""
        return self.base + self.size


class GicFrames(Struct, frozen=True):
    """Where the GICv3 is: the distributor, the first redistributor (128 KiB per PE); ``spis`` is their number."""

    distributor: int
    redistributors: int
    spis: int


@dataclass(frozen=True, slots=True)
class Board:
    """A board as its TOML file describes it. Addresses in bytes, ``counter_hz`` in Hz, ``pes`` the MPIDR of each PE.

    The system counter advances by one tick per ``instructions_per_tick`` instructions that the PEs retire.
    ``nonvolatile`` is the DRAM that survives a system reset. ``unmapped`` is the response to accesses that no device
    claims: "abort" or "raz" (RAZ/WI). ``rmm_console`` is the UART that firmware assigns to the RMM. With
    ``extended_state_id``, CPU_SUSPEND takes power states in the extended StateID format. ``uids`` are the UIDs of
    service ranges that EL3 gives instead of its own, by owner.
    """

    name: str
    banks: tuple[Bank, ...]
    regions: tuple[Region, ...]
    devices: tuple[DeviceRow, ...]
    gic: GicFrames
    nonvolatile: tuple[Bank, ...]
    unmapped: str
    pes: tuple[int, ...]
    counter_hz: int
    instructions_per_tick: int
    pa_bits: int
    pps_bits: int
    ns_entry: int
    rmm_console: str = ""
    extended_state_id: bool = False
    uids: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, name: str | Path) -> "Board":
        """Load a board: the name of a bundled board, or the path of a TOML file."""
        if str(name) in names():
            path = _FOLDER / f"{name}.toml"
        elif str(name).endswith(".toml"):
            path = Path(name)
        else:
            raise MachineError(f"board must be one of {', '.join(names())} or a .toml file, not {str(name)!r}")
        text = read_text(path, KINDS["board"])
        try:
            return _parsed(*_with_base(parse_toml(text)), path.stem)
        except ValueError as error:
            raise MachineError(f"board file {shown(path)}: {error}") from None

    @classmethod
    def parse(cls, data: dict[str, Any], name: str) -> "Board":
        """Build a board from parsed TOML; raises ValueError, with the path of a field, if it cannot be."""
        return _parsed(data, {}, name)

    def with_device(self, row: DeviceRow) -> "Board":
        """This board with one more device; raises MachineError if its row does not fit."""
        board = replace(self, devices=(*self.devices, row))
        try:
            board._check()
        except ValueError as error:
            raise MachineError(str(error)) from None
        return board

    def _check(self) -> None:
        ordered = sorted(self.banks, key=lambda bank: bank.base)
        for bank in ordered:
            if bank.base % GRANULE_SIZE or bank.size % GRANULE_SIZE or not bank.size:
                raise ValueError(f"DRAM bank at {bank.base:#x} must be whole 4 KiB granules, not {bank.size:#x} bytes")
        for low, high in pairwise(ordered):
            if low.top > high.base:
                raise ValueError(f"DRAM banks at {low.base:#x} and {high.base:#x} must not overlap")
        if sum(bank.size for bank in ordered) > _MOST_DRAM:
            raise ValueError(f"DRAM must have at most {_MOST_DRAM >> 30} GiB in all")
        for region in self.regions:
            if region.base % GRANULE_SIZE or region.size % GRANULE_SIZE or not region.size:
                raise ValueError(f"region {region.name} must be whole 4 KiB granules, not {region.size:#x} bytes")
            if not any(bank.base <= region.base and region.top <= bank.top for bank in self.banks):
                raise ValueError(f"region {region.name} must lie inside one DRAM bank, not at {region.base:#x}")
        for lower, higher in pairwise(sorted(self.regions, key=lambda region: region.base)):
            if lower.top > higher.base:
                raise ValueError(f"regions {lower.name} and {higher.name} must not overlap at {higher.base:#x}")
        _check_names("region", [region.name for region in self.regions])
        _check_names("device", [device.name for device in self.devices if device.kind != WINDOW])
        for kept in self.nonvolatile:
            nonvolatile_bank(self, kept.base, kept.size)
        affinities = {mpidr & MPIDR_AFFINITY for mpidr in self.pes}
        if not self.pes or len(affinities) < len(self.pes):
            given = ", ".join(map(hex, self.pes)) or "none"
            raise ValueError(f"mpidrs must name each PE by an affinity of its own, not {given}")
        if self.gic.spis % 32:
            raise ValueError(f"gic.spis must be a multiple of 32, not {self.gic.spis}")
        if self.rmm_console not in ("", *(device.name for device in self.devices)):
            raise ValueError(f"boot.rmm_console must be the name of a device, not {self.rmm_console!r:.60}")
        self._check_frames()

    def _check_frames(self) -> None:
        """Check that nothing in the physical address map overlaps anything else in the same PAS."""
        gic = (
            DeviceRow("distributor", "gic", self.gic.distributor, GICD_SIZE),
            DeviceRow("redistributors", "gic", self.gic.redistributors, GICR_STRIDE * len(self.pes)),
        )
        dram = tuple(DeviceRow("DRAM", "dram", bank.base, bank.size) for bank in self.banks)
        for device in self.devices:
            if device.base % GRANULE_SIZE or device.size % GRANULE_SIZE or not device.size:
                raise ValueError(f"device {device.name} must be whole 4 KiB pages, not {device.size:#x} bytes")
            if device.irq and not 32 <= device.irq < 32 + self.gic.spis:
                raise ValueError(f"irq of device {device.name} must be an SPI of the GIC, not {device.irq}")
        for frame in (*self.devices, *gic, *dram):
            if frame.top > 1 << self.pa_bits:
                raise ValueError(f"{frame.name} must end inside {self.pa_bits} bits of address, not at {frame.top:#x}")
        for pas in Pas:
            frames = (frame for frame in (*self.devices, *gic, *dram) if pas in frame.pases)
            for low, high in pairwise(sorted(frames, key=lambda frame: frame.base)):
                if low.top > high.base:
                    raise ValueError(f"{low.name} and {high.name} must not overlap at {high.base:#x}")

    def region(self, name: str) -> Region:
        """The region with this name; raises MachineError if there is none."""
        for region in self.regions:
            if region.name == name:
                return region
        raise MachineError(f"board {self.name} must have a region named {name!r}; add it to the board file")

    def device(self, name: str) -> DeviceRow:
        """The device with this name; raises KeyError if there is none."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(f"board {self.name} has no device {name!r}")

    def ns_banks(self) -> list[Bank]:
        """The parts of DRAM that the boot leaves in the Non-secure PAS, ascending."""
        parts: list[Bank] = []
        for bank in sorted(self.banks, key=lambda item: item.base):
            at = bank.base
            inside = (region for region in self.regions if bank.base <= region.base < bank.top)
            for region in sorted(inside, key=lambda item: item.base):
                if region.pas == Pas.NON_SECURE:
                    continue
                if region.base > at:
                    parts.append(Bank(at, region.base - at))
                at = max(at, region.top)
            if at < bank.top:
                parts.append(Bank(at, bank.top - at))
        return parts


def _parsed(data: dict[str, Any], before: Mapping[str, int], name: str) -> Board:
    """The board of parsed TOML, whose rows come after ``before`` others of the board that it is like."""
    file = fit(data, BoardFile, "the board", before)
    board = Board(
        name=file.name or name,
        banks=tuple(Bank(one.base, one.size) for one in file.dram),
        regions=tuple(Region(one.name, one.base, one.size, Pas[one.pas.upper()]) for one in file.region),
        devices=tuple(map(_device, file.device, data.get("device", ()))),
        gic=GicFrames(file.gic.distributor, file.gic.redistributors, file.gic.spis),
        nonvolatile=tuple(Bank(one.base, one.size) for one in file.nonvolatile),
        unmapped=file.unmapped,
        pes=tuple(file.pe.mpidrs),
        counter_hz=file.pe.counter_hz,
        instructions_per_tick=file.pe.instructions_per_tick,
        pa_bits=file.pe.pa_bits,
        pps_bits=file.pe.pps_bits,
        ns_entry=file.boot.ns_entry,
        rmm_console=file.boot.rmm_console,
        extended_state_id=file.psci.extended_state_id,
        uids=_uids(file.smccc.uid),
    )
    board._check()
    return board


def _with_base(data: dict[str, Any]) -> tuple[dict[str, Any], Mapping[str, int]]:
    """(the TOML of a board merged into that of the board that it is ``like``, rows of the latter by key).

    Rows are added; keys of a table replace its keys one by one.
    """
    name = data.get("like")
    if name is None:
        return data, {}
    if name not in names():
        raise SchemaError(f"like: must be one of {', '.join(names())}, not {name!r:.60}")
    base = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    rows = {key: len(value) for key, value in base.items() if isinstance(value, list)}
    added = {key: [*base.get(key, ()), *new] for key, new in data.items() if isinstance(new, list) and key in rows}
    tables = {key: value for key, value in base.items() if isinstance(value, dict)}
    merged = {key: tables[key] | new for key, new in data.items() if isinstance(new, dict) and key in tables}
    return {**base, **data, **added, **merged}, rows


def _device(table: DeviceTable, given: Mapping[str, Any]) -> DeviceRow:
    """A device of a file; keys of its kind are its options, which its model looks at."""
    spaces = [*_SPACES] if table.pas is UNSET else [table.pas] if isinstance(table.pas, str) else table.pas
    options = {key: value for key, value in given.items() if key not in _DEVICE_KEYS}
    if table.kind == WINDOW:
        try:
            fit(options, WindowKeys, f"device {table.name}")
        except SchemaError as error:
            raise SchemaError(within(f"device {table.name}", error)) from None
    pases = tuple(Pas[name.upper()] for name in spaces)
    return DeviceRow(table.name, table.kind, table.base, table.size, table.irq, pases, options)


def _uids(given: str | UidTable | UnsetType) -> dict[str, str]:
    """The UIDs by owner."""
    if given is UNSET:
        return {}
    from uuid import UUID

    table = asdict(given) if isinstance(given, UidTable) else dict.fromkeys(UidTable.__struct_fields__, given)
    uids = {}
    for owner, text in table.items():
        if text is UNSET:
            continue
        try:
            uid = UUID(text)
        except ValueError:
            raise SchemaError(f"smccc.uid of {owner} must be a UUID such as {_UUID}, not {text!r:.60}") from None
        if uid.bytes[:4] == b"\xff" * 4:
            raise SchemaError(f"smccc.uid of {owner} must not begin with ffffffff, which means that there is none")
        uids[owner] = str(uid)
    return uids


def _check_names(what: str, names: Sequence[str]) -> None:
    """Check that nothing is named twice."""
    found: set[str] = set()
    for name in names:
        if name in found:
            raise ValueError(f"each {what} must have a name of its own, not {name!r} twice")
        found.add(name)


def _range(bank: Bank) -> str:
    return f"{bank.base:#x}..{bank.top - 1:#x}"


def nonvolatile_bank(board: Board, base: int, size: int) -> Bank:
    """DRAM of ``board`` to keep over a reset; raises ValueError unless it is granules of Non-secure DRAM."""
    bank = Bank(base, size)
    if base % GRANULE_SIZE or size % GRANULE_SIZE or size <= 0:
        raise ValueError(f"nonvolatile memory at {base:#x} must be whole 4 KiB granules, not {size:#x} bytes")
    parts = board.ns_banks()
    if not any(part.base <= base and bank.top <= part.top for part in parts):
        where = ", ".join(_range(part) for part in parts)
        raise ValueError(f"nonvolatile memory must lie in Non-secure DRAM ({where}), not at {_range(bank)}")
    return bank


def names() -> list[str]:
    """The names of the bundled boards."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))
