"""A version of the interfaces as one object: its tables, its facts, and its manual."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final

from cca_arch.el3 import result_count
from cca_arch.smccc import PSCI_FIDS, Fid
from cca_rmm.base.command import Command
from cca_rmm.base.core import Facts
from cca_rmm.objects.granule import Moves

__all__ = ["Extension", "Version"]

_SMC64: Final = Fid.smc64.mask


@dataclass(frozen=True, kw_only=True)
class Version(Facts):
    """The definition of an RMM: ``Rmm(machine, version, ...)``. ``dataclasses.replace`` makes another version."""

    abi: type[IntEnum]
    """The FIDs of its RMI commands by name."""
    commands: Mapping[int, Command[Any]]
    """RMI: FID -> row."""
    services: Mapping[int, Command[Any]]
    """RSI, PSCI and SMCCC, for Realms: FID -> row."""
    service_abi: type[IntEnum]
    """The FIDs of its RSI functions."""
    enter: int
    """The FID of the command that runs a REC and completes at the next exit."""
    opening: frozenset[int]
    """The commands that the Host may call before a version is settled."""
    specification: str
    """The specification that the manual cites."""
    manual: str
    """The manual, a file of the package."""

    def __post_init__(self) -> None:
        name = f"RMM {self.name}"
        assert self.commands.keys() == {int(fid) for fid in self.abi}, (
            f"the RMI table of {name} must have a row for each FID of its ABI and no other"
        )
        for fid, row in self.commands.items():
            assert self.abi(fid).name == row.name, f"row {fid:#x} of {name} must have the name of its FID"
            assert len(row.outs) < result_count(self.el3), (
                f"{row.name} of {name} must not have more results than EL3 carries to the Host"
            )
        assert {int(fid) for fid in self.service_abi} <= self.services.keys(), (
            f"every RSI function of {name} must have a row"
        )
        psci = {fid | bit for fid in PSCI_FIDS for bit in (0, _SMC64)}
        assert psci <= self.services.keys(), f"every FID of the PSCI range must have a row in {name}"
        assert {self.enter, *self.opening} <= self.commands.keys()

    def extended(self, *extensions: "Extension") -> "Version":
        """This version with the commands of ``extensions`` added."""
        version = self
        for one in extensions:
            abi = {fid.name: int(fid) for fid in version.abi} | {row.name: fid for fid, row in one.commands.items()}
            make: Any = IntEnum
            version = replace(
                version,
                abi=make("abi", abi),
                commands={**version.commands, **one.commands},
                services={**version.services, **one.services},
                opening=version.opening | one.opening,
                moves={**version.moves, **one.moves},
            )
        return version


@dataclass(frozen=True, kw_only=True)
class Extension:
    """Commands beyond a version's specification, for :meth:`Version.extended`."""

    name: str
    commands: Mapping[int, Command[Any]] = field(default_factory=dict)
    """For the Host: FID -> row."""
    services: Mapping[int, Command[Any]] = field(default_factory=dict)
    """For Realms: FID -> row."""
    opening: frozenset[int] = frozenset()
    moves: Moves = field(default_factory=dict)
    """The transitions of granules that its commands make."""
    manual: str = "extensions/manual.toml"
    """The manual, a file of the package."""
