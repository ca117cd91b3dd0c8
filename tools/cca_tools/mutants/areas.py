"""Where the sample comes from: areas of the sources, and how many mutants of each."""

import hashlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from cca_tools.imports import PACKAGES, modules
from cca_tools.mutants.operators import Mutant, find

__all__ = ["AREAS", "Area", "sample"]

_SEED: Final = "realmlab 1"


class Area(NamedTuple):
    """A row: its modules by pattern, and the size of its part of the sample."""

    name: str
    size: int
    patterns: tuple[str, ...]


AREAS: Final = (
    Area("rmm", 70, ("cca_rmm.*",)),
    Area("mmu", 28, ("cca_platform.mmu.*",)),
    Area("gic", 32, ("cca_platform.gic.*", "cca_platform.engine.interrupts")),
    Area("timers", 16, ("cca_platform.engine.timers", "cca_platform.clock", "cca_platform.machine.events")),
    Area("exceptions", 28, ("cca_platform.pe.exceptions", "cca_platform.pe.aborts", "cca_platform.pe.traps",
                            "cca_platform.pe.levels", "cca_platform.pe.delivery", "cca_platform.isa.frame")),
    Area("snapshot", 20, ("cca_platform.machine.snapshot", "cca_platform.machine.saved", "cca_platform.pe.saved",
                          "cca_platform.state")),
    Area("memory", 20, ("cca_platform.memory.*", "cca_platform.machine.bus", "cca_platform.engine.tlb",
                        "cca_platform.engine.maintenance")),
    Area("firmware", 42, ("cca_firmware.*",)),
    Area("host", 42, ("cca_host.*",)),
    Area("attestation", 36, ("realmlab.attest.*", "cca_arch.cose", "cca_arch.cca_token",
                             "cca_firmware.bl31.attestation", "cca_rmm.commands.attestation")),
)  # fmt: skip


def _order(mutant: Mutant) -> bytes:
    """The mutant's place in the lottery: fixed by its name alone."""
    return hashlib.sha256(f"{_SEED} {mutant.name}".encode()).digest()


def _members(area: Area) -> Iterator[str]:
    """The modules of an area that no later area names."""
    later = [pattern for other in AREAS[AREAS.index(area) + 1 :] for pattern in other.patterns]
    for package in PACKAGES:
        for module in modules(package):
            if any(fnmatchcase(module, pattern) for pattern in area.patterns) and not any(
                fnmatchcase(module, pattern) for pattern in later
            ):
                yield module


def sample(scale: float = 1.0) -> dict[str, list[Mutant]]:
    """Area -> its mutants in the sample; ``scale`` multiplies the size of every part."""
    chosen = {}
    for area in AREAS:
        every = sorted((mutant for module in _members(area) for mutant in find(module)), key=_order)
        chosen[area.name] = every[: round(area.size * scale)]
    return chosen
