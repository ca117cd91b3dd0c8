"""Boards: where memory, devices and PEs are. A board is data, one TOML file each."""

import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from cca_platform.types import GRANULE_SIZE, MachineError, Pas

__all__ = ["Bank", "Board", "Device", "Region", "names"]

_FOLDER = Path(__file__).parent / "boards"


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank of DRAM: ``size`` bytes at physical address ``base``."""

    base: int
    size: int

    @property
    def top(self) -> int:
        """The first address after the bank."""
        return self.base + self.size


@dataclass(frozen=True, slots=True)
class Region:
    """A part of DRAM with a purpose, and the PAS that the boot firmware gives it."""

    name: str
    base: int
    size: int
    pas: Pas

    @property
    def top(self) -> int:
        """The first address after the region."""
        return self.base + self.size


@dataclass(frozen=True, slots=True)
class Device:
    """A device frame: its kind names the model, ``irq`` its interrupt number (INTID) or 0."""

    name: str
    kind: str
    base: int
    size: int
    irq: int


@dataclass(frozen=True, slots=True)
class Board:
    """A board as its TOML file describes it. Addresses in bytes, ``counter_hz`` in Hz, ``pes`` the MPIDR of each PE."""

    name: str
    banks: tuple[Bank, ...]
    regions: tuple[Region, ...]
    devices: tuple[Device, ...]
    pes: tuple[int, ...]
    counter_hz: int
    pa_bits: int
    pps_bits: int
    ns_entry: int

    @classmethod
    def load(cls, name: str | Path) -> "Board":
        """A board by the name of one that comes with Realmlab, or by the path of a TOML file."""
        path = Path(name) if str(name).endswith(".toml") else _FOLDER / f"{name}.toml"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            if path.parent == _FOLDER:
                known = ", ".join(names())
                raise MachineError(f"board must be one of {known} or a .toml file, not {str(name)!r}") from None
            raise MachineError(f"board file {path} must be readable, not {error.strerror}: name another") from None
        try:
            return cls.parse(tomllib.loads(text), path.stem)
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            raise MachineError(f"board file {path} is not a board: {error}; see boards/fvp.toml for the form") from None

    @classmethod
    def parse(cls, data: dict[str, Any], name: str) -> "Board":
        """A board out of parsed TOML; ValueError when banks or regions do not fit together."""
        board = cls(
            name=data.get("name", name),
            banks=tuple(Bank(item["base"], item["size"]) for item in data["dram"]),
            regions=tuple(
                Region(item["name"], item["base"], item["size"], Pas[item["pas"].upper()]) for item in data["region"]
            ),
            devices=tuple(
                Device(item["name"], item["kind"], item["base"], item["size"], item.get("irq", 0))
                for item in data.get("device", ())
            ),
            pes=tuple(data["pe"]["mpidrs"]),
            counter_hz=data["pe"]["counter_hz"],
            pa_bits=data["pe"]["pa_bits"],
            pps_bits=data["pe"]["pps_bits"],
            ns_entry=data["boot"]["ns_entry"],
        )
        board._check()
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

    def region(self, name: str) -> Region:
        """The region with this name; KeyError when the board has none."""
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(f"board {self.name} has no region {name!r}")

    def device(self, name: str) -> Device:
        """The device with this name; KeyError when the board has none."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(f"board {self.name} has no device {name!r}")

    def ns_banks(self) -> list[Bank]:
        """The parts of DRAM that boot leaves in the Non-secure PAS, ascending."""
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


def names() -> list[str]:
    """The names of the boards that come with Realmlab."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))
