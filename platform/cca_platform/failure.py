"""What a failed run leaves for people: how it began to go wrong, why, what helps, and the registers at its end."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, to_builtins

from cca_arch.explain import explain_esr
from cca_arch.sysregs import Pstate

__all__ = ["Failure", "FirstException"]

_SHORT: Final = 3  # columns of a name, of a general register
_LONG: Final = 9  # and of a system register
_MASKS: Final = (("d", "D"), ("a", "A"), ("i", "I"), ("f", "F"))
_FLAGS: Final = ("n", "z", "c", "v")


class FirstException(Struct, frozen=True, kw_only=True):
    """The exception with which an endless series began, or the one that the code has not come back from."""

    pc: int
    place: str
    """PC by symbol and source line, as far as the payload has them."""
    instruction: str
    """The instruction at PC, empty if it cannot be read."""
    esr: int
    meaning: str
    """The syndrome in words."""
    far: int
    ipa: int | None = None
    """The intermediate physical address that FAR leads to, where it was an abort; without stage 2, the PA."""
    ripas: str | None = None
    """In a Realm: the RIPAS of that IPA,"""
    hipas: str | None = None
    """and its HIPAS."""
    el: int
    """The exception level that it was taken from,"""
    target: int
    """and to."""


class Failure(Struct, frozen=True, kw_only=True):
    """Why a run failed, as far as can be told from the state that it left.

    ``rule`` is the name of the row of the table of causes (``docs/reference/messages.md``) that applies, empty if none
    does. ``registers`` are those at the end by vCPU or PE, each by name.
    """

    what: str
    """What has ended the run."""
    rule: str
    cause: str
    remedy: str
    note: str
    """What became of the first exception, and what else may have to do with it."""
    place: str
    """Where the code was at the end."""
    first: FirstException | None
    registers: Mapping[str, Mapping[str, int]]

    @property
    def reason(self) -> str:
        """Cause and remedy, and what became of it, in one line."""
        return "; ".join(filter(None, (": ".join(filter(None, (self.cause, self.remedy))), self.note)))

    @property
    def message(self) -> str:
        """All that matters, in one line."""
        return ": ".join(filter(None, (self.what, self.reason)))

    def tables(self) -> list[list[tuple[str, str]]]:
        """The details for people: tables of (label, text), in at most 80 columns where no name is long.

        The first exception, and the registers: all of the vCPU or PE that explains the failure, PC and SP of others.
        """
        rows = [] if self.first is None else _exception(self.first)
        (who, registers), *others = self.registers.items()
        shown = _registers(who, registers) + [(who, _brief(found)) for who, found in others if found]
        return [[*rows, ("at the end", self.place)], shown]

    def __str__(self) -> str:
        lines = [self.message]
        for table in self.tables():
            width = max(len(label) for label, _ in table)
            lines += [f"{label:<{width}}  {text}".rstrip() for label, text in table]
        return "\n".join(lines)

    def plain(self) -> dict[str, Any]:
        """As plain data, for JSON: 64-bit words as text."""
        data: dict[str, Any] = to_builtins(self)
        for registers in data["registers"].values():
            registers.update({name: f"{value:#x}" for name, value in registers.items()})
        first = data["first"]
        if first is not None:
            first.update({name: f"{first[name]:#x}" for name in ("pc", "esr", "far", "ipa") if first[name] is not None})
        return data


def _exception(first: FirstException) -> list[tuple[str, str]]:
    """The rows of the first exception."""
    level = f"EL{first.el}" if first.el == first.target else f"EL{first.el} to EL{first.target}"
    rows = [
        ("first exception", f"{first.meaning} ({level})"),
        ("  at", f"{first.place}: {first.instruction}" if first.instruction else first.place),
        ("  ESR, FAR", f"{first.esr:#x}, {first.far:#x}"),
    ]
    if first.ipa is not None:
        state = f": RIPAS {first.ripas}, HIPAS {first.hipas}" if first.ripas else ""
        rows.append(("  IPA", f"{first.ipa:#x}{state}"))
    return rows


def _registers(who: str, registers: Mapping[str, int]) -> list[tuple[str, str]]:
    """The rows of the registers, three in each, and of those that say more in words."""
    if not registers:
        return [(who, "its registers are not known: the RMM brings no inspector")]
    worded = {name: _worded(name, value) for name, value in registers.items()}
    general = [name for name in registers if "_" not in name and not worded[name]]
    system = [name for name in registers if "_" in name and not worded[name]]
    lines = [*_lines(general, registers, _SHORT, 3), *_lines(system, registers, _LONG, 2)]
    lines += [f"{name:<{_LONG}} {registers[name]:#x}: {text}" for name, text in worded.items() if text]
    return [(who if not number else "", line) for number, line in enumerate(lines)]


def _lines(names: list[str], registers: Mapping[str, int], width: int, columns: int) -> list[str]:
    """Registers in columns."""
    cells = [f"{name:<{width}} {registers[name]:#018x}" for name in names]
    return ["  ".join(cells[at : at + columns]) for at in range(0, len(cells), columns)]


def _worded(name: str, value: int) -> str:
    """What a register says in words; empty for most."""
    if name == "pstate" or name.startswith("spsr"):
        return _pstate(value)
    return explain_esr(value) if name.startswith("esr") and value else ""


def _pstate(value: int) -> str:
    """PSTATE in words: ``EL1h, DAIF masked, nZCv``."""
    found = Pstate(value)
    masks = "".join(shown for name, shown in _MASKS if getattr(found, name))
    flags = "".join(name.upper() if getattr(found, name) else name for name in _FLAGS)
    more = [name.upper() for name in ("il", "ss", "pan", "uao", "dit", "ssbs") if getattr(found, name)]
    level = f"EL{found.el}{'h' if found.sp else 't'}"
    return ", ".join([level, f"{masks} masked" if masks else "nothing masked", flags, *more])


def _brief(registers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {registers[name]:#x}" for name in ("pc", "sp") if name in registers)
