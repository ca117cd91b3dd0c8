"""The reference pages, written from the tables in the code: ``python -m cca_tools.reference docs/reference``."""

import inspect
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cca_platform.trace.events import EVENTS, SCHEMA
from cca_platform.trace.forms import FieldType, fields_of

if TYPE_CHECKING:
    from cca_rmm.command import Command

__all__ = ["PAGES", "main", "manual"]

_NOTE = "<!-- Written by `make docs` from the tables in the code. -->\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _registers(names: tuple[str, ...]) -> str:
    return ", ".join(f"X{number} `{name}`" for number, name in enumerate(names, 1)) or "-"


def _commands(title: str, about: str, prefix: str, rows: "Iterable[Command]") -> str:
    table = sorted((row for row in rows if row.name != "NOT_SUPPORTED"), key=lambda row: row.fid)
    parts = [
        f"{_NOTE}\n# {title}\n\n{about}\n\n",
        _table(
            ("FID", "Command", "In", "Out", "Purpose"),
            (
                (
                    f"`{row.fid:#010x}`",
                    f"`{prefix}{row.name}`",
                    _registers(row.ins),
                    _registers(row.outs),
                    _purpose(row),
                )
                for row in table
            ),
        ),
        "\n## Failure conditions and state changes\n\nThe conditions are in the order of the checks: the first that "
        "holds gives the answer. A failing call changes nothing.\n",
    ]
    words = manual()
    for row in table:
        name = row.name if row.name.startswith("SMCCC") else prefix + row.name
        text = words[name]
        parts.append(f"\n### {name}\n\n")
        if row.conditions:
            when = text["when"]
            checks = ((f"`{check.id}`", when[check.id], _status(check.status)) for check in row.conditions)
            parts.append(_table(("Condition", "Holds when", "Status"), checks) + "\n")
        parts.append("On success:\n\n" + "".join(f"- {change}\n" for change in text["changes"]))
    parts.append("\n## Words\n\n" + _table(("Term", "Meaning"), _terms(words)))
    return "".join(parts)


def _terms(words: dict[str, Any]) -> Iterable[tuple[str, str]]:
    return ((f"`{term}`", meaning) for term, meaning in words["predicates"].items())


def manual() -> dict[str, Any]:
    """The words of the manual, by command: ``when`` by failure condition, and ``changes``."""
    return tomllib.loads(resources.files("cca_rmm").joinpath("manual.toml").read_text(encoding="utf-8"))


def _purpose(row: "Command") -> str:
    if row.handler is None:
        return "not there yet: answers NOT_SUPPORTED"
    return (row.handler.__doc__ or "").strip().partition("\n")[0]


def _status(status: int) -> str:
    name = getattr(status, "name", None)
    return f"`{name}`" if name else f"`{status:#x}`" if status >> 32 else f"`{status}`"


def rmi() -> str:
    """The commands that the Host calls."""
    from cca_rmm.versions.v1_0 import RMI

    about = "What the Host asks the RMM (DEN0137 1.0, Realm Management Interface), by SMC from Non-secure EL2."
    return _commands("RMI commands", about, "RMI_", RMI.values())


def rsi() -> str:
    """The commands that a Realm calls of its RMM."""
    from cca_rmm.commands import attestation
    from cca_rmm.commands.rsi import COMMANDS

    rows = sorted((*COMMANDS, *attestation.COMMANDS), key=lambda row: row.fid)
    about = "What a Realm asks its RMM, by SMC from Realm EL1 (DEN0137 1.0, Realm Services Interface; SMCCC)."
    return _commands("RSI commands", about, "RSI_", rows)


def psci() -> str:
    """The power functions that a Realm calls."""
    from cca_rmm.commands.psci import COMMANDS

    about = "What a Realm asks its RMM about power and vCPUs (DEN0022). Other PSCI functions answer NOT_SUPPORTED."
    return _commands("PSCI functions of a Realm", about, "PSCI_", COMMANDS)


def trace() -> str:
    """The events of the trace."""
    parts = [
        f"{_NOTE}\n# Trace events\n\n"
        "Each line of a trace file is a JSON object: `seq` (from 0), `time` (ticks of the system counter), `pe`, "
        "`world` (`ns`, `secure`, `root`, `realm`), `el`, `event`, then the fields of the event. Addresses, words and "
        "FIDs are strings `0x...`, bytes are hexadecimal digits; names are those of the specifications. "
        "`pe`, `world` and `el` are null when the event belongs to no PE. Optional fields are absent when they do not "
        f"apply. This is version {SCHEMA} of the catalogue.\n"
    ]
    for name, event in EVENTS.items():
        rows = ((f"`{field.name}`", _kind(field), field.meaning) for field in fields_of(event))
        parts.append(f"\n## {name}\n\n{inspect.getdoc(event)}\n\n{_table(('Field', 'Kind', 'Meaning'), rows)}")
    return "".join(parts)


def _kind(field: FieldType) -> str:
    """The kind of a field, and whether a record can lack it."""
    return field.form.name + " or null" * field.nullable + " (optional)" * field.optional


def api() -> str:
    """The public Python names."""
    import realmlab

    parts = [f"{_NOTE}\n# Python API\n\n```python\n{inspect.getdoc(realmlab)}\n```\n"]
    for name in realmlab.__all__:
        value = getattr(realmlab, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        parts.append(f"## {name}\n\n{inspect.getdoc(value)}\n")
        methods = [
            (f"`{key}{_signature(item) if inspect.isfunction(item) else ''}`", _first_line(item))
            for key, item in _members(value).items()
            if not key.startswith("_") and (inspect.isfunction(item) or isinstance(item, property)) and item.__doc__
        ]
        if inspect.isclass(value) and methods:
            parts.append(_table(("Member", "Purpose"), methods))
    return "\n".join(parts)


def _members(value: object) -> dict[str, object]:
    """What a class or function has by name, its own before what a class inherits."""
    found: dict[str, object] = {}
    for base in value.__mro__[:-1] if isinstance(value, type) else (value,):
        found = {**found, **{key: item for key, item in vars(base).items() if key not in found}}
    return found


def _signature(function: Callable[..., object]) -> str:
    """The parameters and their defaults, without types."""
    empty = inspect.Parameter.empty
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    return str(inspect.Signature([one.replace(annotation=empty) for one in parameters]))


def _first_line(item: object) -> str:
    return (item.__doc__ or "").strip().partition("\n")[0]


PAGES: dict[str, Callable[[], str]] = {"rmi.md": rmi, "rsi.md": rsi, "psci.md": psci, "trace.md": trace, "api.md": api}
"""File name -> its text."""


def main(arguments: list[str]) -> int:
    """Write every page into the folder given."""
    folder = Path(arguments[0] if arguments else "docs/reference")
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
