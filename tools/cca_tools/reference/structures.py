"""The page of the structures, bit fields, status codes and values of the RMI and the RSI; its words are in TOML."""

import tomllib
from collections.abc import Iterable
from enum import IntEnum
from importlib import resources
from typing import Any, Final, NamedTuple

from cca_arch.descriptors.rtte import Hipas, Kind
from cca_arch.extensions import PagedState, PagingFeatures, SealingFeatures, SealingFlags
from cca_arch.fields import Bits, Struct
from cca_arch.psci import AffinityInfo, PsciStatus
from cca_arch.rmi import v1_0 as rmi
from cca_arch.rsi import v1_0 as rsi
from cca_arch.types import Gpi, Pas, SecurityState
from cca_tools.reference.text import NOTE, ManualError, table

__all__ = ["SECTIONS", "WORDS", "Entry", "entries", "structures"]

WORDS: Final = "structures.toml"
_SIGN: Final = 1 << 63


class Entry(NamedTuple):
    """A structure, a word of bits or an enumeration; ``title`` is its name in the specification.

    ``prefixes`` are those of its values there; a value that applies to both interfaces has both.
    """

    title: str
    declared: Any
    prefixes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name of its table in the TOML file: that of its declaration."""
        return str(self.declared.name if isinstance(self.declared, Struct) else self.declared.__name__)

    def words(self) -> list[str]:
        """The names of its members, fields or values, the latter as the specification has them."""
        return [f"{prefix}{name}" for name in _names(self.declared) for prefix in self.prefixes or ("",)]


def _sections() -> dict[str, tuple[Entry, ...]]:
    from cca_rmm.objects.granule import State
    from cca_rmm.objects.realm import RealmState
    from cca_rmm.objects.rec import RecState

    return {
        "Structures of the RSI": (
            Entry("RsiHostCall", rsi.RsiHostCall),
            Entry("RsiRealmConfig", rsi.RsiRealmConfig),
        ),
        "Structures of the RMI": tuple(
            Entry(one.name, one)
            for one in (rmi.RmiRealmParams, rmi.RmiRecParams, rmi.RmiRecRun, rmi.RmiRecEnter, rmi.RmiRecExit)
        ),
        "Flags and other words of bits": (
            Entry("RsiRipasChangeFlags", rsi.RsiRipasChangeFlags),
            Entry("RmiRealmFlags", rmi.RmiRealmFlags),
            Entry("RmiDataFlags", rmi.RmiDataFlags),
            Entry("RmiRecCreateFlags", rmi.RecCreateFlags),
            Entry("RmiRecEnterFlags", rmi.RecEnterFlags),
            Entry("RmiRecMpidr", rmi.RecMpidr),
            Entry("RmiFeatureRegister0", rmi.FeatureRegister0),
            Entry("RmiInterfaceVersion, RsiInterfaceVersion", rmi.InterfaceVersion),
            Entry("RmiCommandReturnCode", rmi.RmiReturn),
            Entry("PagingFeatures", PagingFeatures),
            Entry("SealingFeatures", SealingFeatures),
            Entry("SealingFlags", SealingFlags),
        ),
        "Status codes": (
            Entry("RsiCommandReturnCode", rsi.RsiStatus, ("RSI_",)),
            Entry("RmiStatusCode", rmi.RmiStatus, ("RMI_",)),
            Entry("PSCI return codes", PsciStatus, ("PSCI_",)),
            Entry("PSCI_AFFINITY_INFO", AffinityInfo, ("PSCI_AFFINITY_",)),
        ),
        "States of memory": (
            Entry("RIPAS", rmi.RmiRipas, ("RSI_", "RMI_")),
            Entry("HIPAS", Hipas),
            Entry("RTT entries", Kind),
            Entry("RmiRttEntryState", rmi.RmiRttEntryState, ("RMI_",)),
            Entry("RmiRttEntryState, paging", PagedState, ("RMI_",)),
            Entry("RmmGranuleState", State),
            Entry("PAS", Pas),
            Entry("GPI", Gpi),
        ),
        "Other values": (
            Entry("RsiHashAlgorithm, RmiHashAlgorithm", rmi.HashAlgorithm, ("RSI_HASH_", "RMI_HASH_")),
            Entry("RsiResponse, RmiResponse", rmi.RmiResponse, ("RSI_", "RMI_")),
            Entry("RmiRecExitReason", rmi.RecExitReason, ("RMI_EXIT_",)),
            Entry("RmiPmuOverflowStatus", rmi.PmuOverflowStatus, ("RMI_PMU_OVERFLOW_",)),
            Entry("RmmRealmState", RealmState),
            Entry("RmmRecState", RecState),
            Entry("Security states", SecurityState),
        ),
    }


SECTIONS: Final = _sections()
"""The headings of the page, and what is below each."""


def entries() -> Iterable[Entry]:
    """Everything on the page, in its order."""
    return (entry for section in SECTIONS.values() for entry in section)


def structures() -> str:
    """The page."""
    words = tomllib.loads(resources.files("cca_tools.reference").joinpath(WORDS).read_text(encoding="utf-8"))
    keys = {entry.key for entry in entries()}
    if extra := sorted(words.keys() - keys):
        raise ManualError(f"{WORDS} must not explain what the page does not show: take out {', '.join(extra)}")
    parts = [
        f"{NOTE}\n# Structures, status codes and values\n\nWhat the commands of the [RSI](rsi.md) and [RMI](rmi.md) "
        "take and return (DEN0137 1.0). Everything is little-endian. [What a Realm sees](realm.md) has the addresses, "
        "interrupts and host calls.\n"
    ]
    for title, section in SECTIONS.items():
        parts.append(f"\n## {title}\n")
        parts += [_entry(one, words.get(one.key, {})) for one in section]
    return "".join(parts)


def _entry(entry: Entry, words: dict[str, str]) -> str:
    declared = entry.declared
    names = _names(declared)
    head: tuple[str, ...]
    wanted = {"about", *names}
    if missing := sorted(wanted - words.keys()):
        raise ManualError(f"{WORDS} must explain {entry.key}: its table [{entry.key}] lacks {', '.join(missing)}")
    if extra := sorted(words.keys() - wanted):
        raise ManualError(f"{WORDS} must not explain what {entry.key} does not have: take out {', '.join(extra)}")
    if isinstance(declared, Struct):
        head, rows, size = ("Offset", "Bytes", "Member", "Meaning"), _members(declared), f" {declared.size:#x} bytes."
    elif issubclass(declared, Bits):
        head, rows, size = ("Bits", "Field", "Meaning"), _fields(declared), ""
    else:
        head, rows, size = ("Value", "Name", "Meaning"), _values(entry), ""
    shown = ((*row, words[name]) for name, row in zip(names, rows, strict=True))
    return f"\n### {entry.title}\n\n{words['about']}{size}\n\n{table(head, shown)}"


def _names(declared: Any) -> list[str]:
    if isinstance(declared, Struct):
        return list(declared.members)
    return list(declared.fields()) if issubclass(declared, Bits) else [one.name for one in declared]


def _members(struct: Struct) -> Iterable[tuple[str, ...]]:
    for one in struct.members.values():
        size = f"{one.size}" if one.count == 1 else f"{one.count} x {one.size}"
        yield f"`{one.offset:#x}`", size, f"`{one.name}{f'[{one.count}]' if one.count > 1 else ''}`"


def _fields(bits: type[Bits]) -> Iterable[tuple[str, ...]]:
    for name, field in bits.fields().items():
        yield str(field.low) if field.width == 1 else f"{field.high}:{field.low}", f"`{name}`"


def _values(entry: Entry) -> Iterable[tuple[str, ...]]:
    values: type[IntEnum] = entry.declared
    for one in values:
        shown = str(one - 2 * _SIGN if one & _SIGN else int(one))
        yield shown, ", ".join(f"`{prefix}{one.name}`" for prefix in entry.prefixes or ("",))
