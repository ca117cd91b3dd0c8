"""Boards: where memory, devices and PEs are. A board is data: one TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from cca_arch.gic import GICD_SIZE, GICR_STRIDE
from cca_arch.smccc import Owner
from cca_arch.sysregs import MPIDR_AFFINITY
from cca_arch.types import GRANULE_SIZE, Pas
from cca_platform.errors import MachineError
from cca_platform.userfiles import KINDS, read_text

__all__ = ["WINDOW", "Bank", "Board", "DeviceRow", "GicFrames", "Region", "names", "nonvolatile_bank"]

_FOLDER = Path(__file__).parent / "boards"
WINDOW: Final = "window"
"""The kind of a frame without a model: no device claims it."""
_MOST_PER_TICK: Final = 1_000_000
_UUID: Final = "00112233-4455-6677-8899-aabbccddeeff"
_UID_OWNERS: Final = tuple(
    owner.name.lower()
    for owner in (Owner.ARCH, Owner.SIP, Owner.STANDARD_SECURE, Owner.VENDOR_EL3, Owner.TRUSTED_OS)
)
_UNMAPPED: Final = ("abort", "raz")
_DEVICE_KEYS: Final = {"name", "kind", "base", "size", "irq", "pas"}
_ROWS: Final = ("dram", "region", "device", "nonvolatile")
_TABLES: Final = ("gic", "pe", "boot", "psci", "smccc")
_TEXTS: Final = ("name", "kind", "unmapped", "rmm_console")
_NUMBERS: Final = (
    "base", "size", "irq", "distributor", "redistributors", "spis", "counter_hz", "pa_bits", "pps_bits", "ns_entry",
)  # fmt: skip


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
            return cls.parse(_with_base(tomllib.loads(text)), path.stem)
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            raise MachineError(f"board file {path} is not a board: {error}; see boards/fvp.toml for the form") from None

    @classmethod
    def parse(cls, data: dict[str, Any], name: str) -> "Board":
        """Build a board from parsed TOML; raises ValueError if banks or regions are inconsistent."""
        _check_types(data)
        board = cls(
            name=data.get("name", name),
            banks=tuple(Bank(item["base"], item["size"]) for item in data["dram"]),
            regions=tuple(
                Region(item["name"], item["base"], item["size"], Pas[item["pas"].upper()]) for item in data["region"]
            ),
            devices=tuple(_device(item) for item in data.get("device", ())),
            gic=GicFrames(data["gic"]["distributor"], data["gic"]["redistributors"], data["gic"]["spis"]),
            nonvolatile=tuple(Bank(item["base"], item["size"]) for item in data.get("nonvolatile", ())),
            unmapped=data.get("unmapped", _UNMAPPED[0]),
            pes=tuple(data["pe"]["mpidrs"]),
            counter_hz=data["pe"]["counter_hz"],
            instructions_per_tick=data["pe"].get("instructions_per_tick", 1),
            pa_bits=data["pe"]["pa_bits"],
            pps_bits=data["pe"]["pps_bits"],
            ns_entry=data["boot"]["ns_entry"],
            rmm_console=data["boot"].get("rmm_console", ""),
            extended_state_id=data.get("psci", {}).get("extended_state_id", False),
            uids=_uids(data.get("smccc", {}).get("uid", {})),
        )
        board._check()
        return board

    def with_device(self, row: DeviceRow) -> "Board":
        """This board with one more device; raises MachineError if its row does not fit."""
        board = replace(self, devices=(*self.devices, row))
        try:
            board._check()
        except ValueError as error:
            raise MachineError(str(error)) from None
        return board

    def _check(self) -> None:
        if not 1 <= len(self.banks) <= 4:
            raise ValueError(f"a board must have 1 to 4 DRAM banks, not {len(self.banks)}")
        ordered = sorted(self.banks, key=lambda bank: bank.base)
        for bank in ordered:
            if bank.base % GRANULE_SIZE or bank.size % GRANULE_SIZE or not bank.size:
                raise ValueError(f"DRAM bank at {bank.base:#x} must be whole 4 KiB granules, not {bank.size:#x} bytes")
        for low, high in pairwise(ordered):
            if low.top > high.base:
                raise ValueError(f"DRAM banks at {low.base:#x} and {high.base:#x} must not overlap")
        for region in self.regions:
            if not any(bank.base <= region.base and region.top <= bank.top for bank in self.banks):
                raise ValueError(f"region {region.name} must lie inside one DRAM bank, not at {region.base:#x}")
        for kept in self.nonvolatile:
            nonvolatile_bank(self, kept.base, kept.size)
        affinities = {mpidr & MPIDR_AFFINITY for mpidr in self.pes}
        if not self.pes or len(affinities) < len(self.pes):
            given = ", ".join(map(hex, self.pes)) or "none"
            raise ValueError(f"mpidrs must name each PE by an affinity of its own, not {given}")
        if self.counter_hz < 1:
            raise ValueError(f"counter_hz must be at least 1, not {self.counter_hz}")
        per_tick: object = self.instructions_per_tick
        if not isinstance(per_tick, int) or not 1 <= per_tick <= _MOST_PER_TICK:
            raise ValueError(f"instructions_per_tick must be a number from 1 to {_MOST_PER_TICK}, not {per_tick!r}")
        if self.unmapped not in _UNMAPPED:
            raise ValueError(f"unmapped must be one of {', '.join(_UNMAPPED)}, not {self.unmapped!r}")
        if self.gic.spis % 32 or not 0 < self.gic.spis <= 960:
            raise ValueError(f"spis of the GIC must be a multiple of 32 up to 960, not {self.gic.spis}")
        extended: object = self.extended_state_id
        if not isinstance(extended, bool):
            raise ValueError(f"extended_state_id of psci must be true or false, not {extended!r}")
        if self.rmm_console not in ("", *(device.name for device in self.devices)):
            raise ValueError(f"rmm_console must be the name of a device of the board, not {self.rmm_console!r}")
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
        for pas in Pas:
            frames = (frame for frame in (*self.devices, *gic, *dram) if pas in frame.pases)
            for low, high in pairwise(sorted(frames, key=lambda frame: frame.base)):
                if low.top > high.base:
                    raise ValueError(f"{low.name} and {high.name} must not overlap at {high.base:#x}")

    def region(self, name: str) -> Region:
        """The region with this name; raises KeyError if there is none."""
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(f"board {self.name} has no region {name!r}")

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


def _with_base(data: dict[str, Any]) -> dict[str, Any]:
    """Merge the TOML of a board into that of the board that it is ``like``.

    Rows are added; keys of a table replace its keys one by one.
    """
    name = data.pop("like", None)
    if name is None:
        return data
    if name not in names():
        raise ValueError(f"like must be one of {', '.join(names())}, not {name!r}")
    base = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    added = {key: [*base.get(key, ()), *rows] for key, rows in data.items() if isinstance(rows, list)}
    merged = {key: base.get(key, {}) | table for key, table in data.items() if isinstance(table, dict)}
    return {**base, **data, **added, **merged}


def _check_types(data: Mapping[str, Any]) -> None:
    """Check that the keys of a board have values of their types; those of a device's kind are its own matter."""
    for name in _ROWS:
        rows = data.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise ValueError(f"{name} must be rows ([[{name}]]), not {rows!r}")
    for name in _TABLES:
        if not isinstance(data.get(name, {}), Mapping):
            raise ValueError(f"{name} must be a table ([{name}]), not {data[name]!r}")
    tables = [data.get(name, {}) for name in _TABLES]
    for table in (data, *tables, *(row for name in _ROWS for row in data.get(name, []))):
        for key, value in table.items():
            if key in _TEXTS and not isinstance(value, str):
                raise ValueError(f"{key} must be text, not {value!r}")
            if key in _NUMBERS and type(value) is not int:
                raise ValueError(f"{key} must be a whole number, not {value!r}")
    mpidrs = data["pe"]["mpidrs"]
    if not isinstance(mpidrs, list) or not all(type(mpidr) is int for mpidr in mpidrs):
        raise ValueError(f"mpidrs must be a list of numbers, not {mpidrs!r}")


def _device(row: Mapping[str, Any]) -> DeviceRow:
    """Parse a ``[[device]]`` row; ``pas`` is one name or a list of names, by default every PAS."""
    spaces = row.get("pas", [pas.name for pas in Pas])
    spaces = [spaces] if isinstance(spaces, str) else spaces
    options = {key: value for key, value in row.items() if key not in _DEVICE_KEYS}
    unmapped = options.get("unmapped", _UNMAPPED[0])
    if unmapped not in _UNMAPPED:
        known = ", ".join(_UNMAPPED)
        raise ValueError(f"unmapped of device {row['name']} must be one of {known}, not {unmapped!r}")
    pases = tuple(Pas[name.upper()] for name in spaces)
    return DeviceRow(row["name"], row["kind"], row["base"], row["size"], row.get("irq", 0), pases, options)


def _uids(given: object) -> dict[str, str]:
    """Parse ``uid`` of ``smccc``: one UUID for all ranges, or a table of them by owner."""
    table: Mapping[str, Any] = given if isinstance(given, Mapping) else dict.fromkeys(_UID_OWNERS, given)
    uids = {}
    for owner, text in table.items():
        if owner not in _UID_OWNERS:
            raise ValueError(f"a uid of smccc must be for one of {', '.join(_UID_OWNERS)}, not {owner!r}")
        try:
            uid = UUID(text)
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"uid of {owner} must be a UUID such as {_UUID}, not {text!r}") from None
        if uid.bytes[:4] == b"\xff" * 4:
            raise ValueError(f"uid of {owner} must not begin with ffffffff, which means that there is none")
        uids[owner] = str(uid)
    return uids


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
