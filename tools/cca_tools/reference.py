"""Generate the reference pages from the tables in the code: ``python -m cca_tools.reference docs/reference``."""

import inspect
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cca_arch.smccc import PSCI_FIDS, Fid
from cca_platform.models import COMMON, HIDDEN, MODELS, Feature
from cca_platform.trace.events import EVENTS, SCHEMA
from cca_platform.trace.forms import FieldType, fields_of
from cca_platform.unmodelled import ELSEWHERE, UNMODELLED

if TYPE_CHECKING:
    from cca_rmm.base.command import Command
    from cca_rmm.base.version import Version

__all__ = ["PAGES", "PSCI_CALLS", "ManualError", "main", "manual"]

PSCI_CALLS = frozenset(fid | bit for fid in PSCI_FIDS for bit in (0, Fid.smc64.mask))
_NOTE = "<!-- Written by `make docs` from the tables in the code. -->\n"


class ManualError(Exception):
    """The manual lacks words that the tables need; the message says what to add."""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _registers(names: tuple[str, ...]) -> str:
    return ", ".join(f"X{number} `{name}`" for number, name in enumerate(names, 1)) or "-"


def _commands(title: str, about: str, prefix: str, version: "Version", rows: "Iterable[Command[Any]]") -> str:
    table = sorted((row for row in rows if row.name != "NOT_SUPPORTED"), key=lambda row: row.fid)
    words = manual(version)
    names = [row.name if row.name.startswith("SMCCC") else prefix + row.name for row in table]
    texts = [_text(version, words, name, row) for name, row in zip(names, table, strict=True)]
    parts = [
        f"{_NOTE}\n# {title}\n\n{about}\n\n",
        _table(
            ("FID", "Command", "In", "Out", "Purpose"),
            (
                (f"`{row.fid:#010x}`", f"`{name}`", _registers(row.ins), _registers(row.outs), text["purpose"])
                for name, row, text in zip(names, table, texts, strict=True)
            ),
        ),
        "\n## Failure conditions and state changes\n\nThe conditions are in the order of the checks: the first that "
        "holds determines the status. A failing call changes nothing.\n",
    ]
    for name, row, text in zip(names, table, texts, strict=True):
        parts.append(f"\n### {name}\n\n")
        if row.conditions:
            when = text["when"]
            checks = ((f"`{check.id}`", when[check.id], _status(check.status)) for check in row.conditions)
            parts.append(_table(("Condition", "Holds when", "Status"), checks) + "\n")
        parts.append("On success:\n\n" + "".join(f"- {change}\n" for change in text["changes"]))
    parts.append("\n## Words\n\n" + _table(("Term", "Meaning"), _terms(words)))
    return "".join(parts)


def _text(version: "Version", words: dict[str, Any], name: str, row: "Command[Any]") -> dict[str, Any]:
    """The manual's words for a command; raises ManualError if some are missing or superfluous."""
    text: dict[str, Any] = words.get(name, {})
    missing = [key for key in ("purpose", "changes") if not text.get(key)]
    ids, found = {condition.id for condition in row.conditions}, set(text.get("when", {}))
    if missing or ids - found:
        missing += [f"when.{id}" for id in sorted(ids - found)]
        raise ManualError(
            f"cca_rmm/{version.manual} must explain {name}: its table [{name}] lacks {', '.join(missing)}; "
            "a command needs its purpose, its changes, and a line under `when` for each failure condition"
        )
    if found - ids:
        raise ManualError(
            f"cca_rmm/{version.manual} must not explain conditions that {name} does not have: "
            f"take {', '.join(sorted(found - ids))} out of [{name}.when]"
        )
    return text


def _terms(words: dict[str, Any]) -> Iterable[tuple[str, str]]:
    return ((f"`{term}`", meaning) for term, meaning in words["predicates"].items())


def manual(version: "Version") -> dict[str, Any]:
    """The manual of a version by command: ``purpose``, ``when`` by failure condition, and ``changes``."""
    return tomllib.loads(resources.files("cca_rmm").joinpath(version.manual).read_text(encoding="utf-8"))


def _status(status: int) -> str:
    name = getattr(status, "name", None)
    return f"`{name}`" if name else f"`{status:#x}`" if status >> 32 else f"`{status}`"


def _v1_0() -> "Version":
    from cca_rmm.versions.v1_0 import V1_0

    return V1_0


def rmi(version: "Version | None" = None) -> str:
    """The commands that the Host calls; of RMM 1.0 unless a version is given."""
    version = version or _v1_0()
    about = f"SMCs of the Host at Non-secure EL2 to the RMM ({version.specification}, Realm Management Interface)."
    return _commands("RMI commands", about, "RMI_", version, version.commands.values())


def rsi(version: "Version | None" = None) -> str:
    """The commands that a Realm calls."""
    version = version or _v1_0()
    rows = [row for fid, row in version.services.items() if fid not in PSCI_CALLS]
    about = f"SMCs of a Realm at Realm EL1 to the RMM ({version.specification}, Realm Services Interface; SMCCC)."
    return _commands("RSI commands", about, "RSI_", version, rows)


def psci(version: "Version | None" = None) -> str:
    """The power functions that a Realm calls."""
    version = version or _v1_0()
    rows = [row for fid, row in version.services.items() if fid in PSCI_CALLS]
    about = "SMCs of a Realm to the RMM for power control (DEN0022). Other PSCI functions return NOT_SUPPORTED."
    return _commands("PSCI functions of a Realm", about, "PSCI_", version, rows)


def trace() -> str:
    """The trace events."""
    parts = [
        f"{_NOTE}\n# Trace events\n\n"
        "Each line of a trace file is a JSON object: `seq` (from 0), `time` (ticks of the system counter), `pe`, "
        "`world` (`ns`, `secure`, `root`, `realm`), `el`, `event`, then the fields of the event. Addresses, words and "
        "FIDs are strings `0x...`, bytes are hexadecimal digits; names are those of the specifications. "
        "`pe`, `world` and `el` are null if the event belongs to no PE. Optional fields are absent where they do not "
        f"apply. This is version {SCHEMA} of the catalogue.\n"
    ]
    for name, event in EVENTS.items():
        rows = ((f"`{field.name}`", _kind(field), field.meaning) for field in fields_of(event))
        parts.append(f"\n## {name}\n\n{inspect.getdoc(event)}\n\n{_table(('Field', 'Kind', 'Meaning'), rows)}")
    return "".join(parts)


def _kind(field: FieldType) -> str:
    """The kind of a field, and whether it is optional or can be null."""
    return field.form.name + " or null" * field.nullable + " (optional)" * field.optional


_SECTIONS: dict[str, tuple[str, ...]] = {
    "Machines": ("Machine", "Realm", "Vcpu", "NsMachine", "NsImage", "Snapshot", "Hook", "Listener"),
    "Results": ("RunResult", "NsResult", "Progress", "Reason"),
    "Registers, memory and tables": (
        "Cpu", "Registers", "GranuleView", "RttView", "RttEntry", "RecView", "RecRegisters", "RealmFacts", "RecFacts",
        "RmmInspector", "Platform",
    ),
    "Boards and devices": (
        "Board", "DeviceRow", "Device", "Register", "RegisterTable", "Wiring", "DeviceState", "State", "DmaPort",
        "DmaAborted",
    ),
    "Traces": ("Trace", "Sink", "JsonLines", "Console", "Listing", "Counts"),
    "Numbers and names": ("Rmi", "Rsi", "Pas", "SecurityState", "find_payload", "payload_names", "parse_size"),
    "Errors": ("MachineError", "InternalError", "NotSeen", "GranuleProtectionFault", "BusError"),
}  # fmt: skip
"""The public classes and functions, in reading order."""


def api() -> str:
    """The Python API."""
    import realmlab

    public = {name: getattr(realmlab, name) for name in realmlab.__all__}
    shown = {name for name, value in public.items() if inspect.isclass(value) or inspect.isfunction(value)}
    names = [name for section in _SECTIONS.values() for name in section]
    if set(names) != shown or len(names) != len(shown):
        raise ValueError(f"each public name must be in one section, not as {sorted(shown.symmetric_difference(names))}")
    parts = [f"{_NOTE}\n# Python API\n\n```python\n{inspect.getdoc(realmlab)}\n```\n"]
    for title, section in _SECTIONS.items():
        parts.append(f"## {title}\n")
        parts += [_described(name, public[name]) for name in section]
    parts.append(_options())
    return "\n".join(parts)


def _described(name: str, value: Any) -> str:
    """The docstring of a class or function, and a class's members."""
    head = f"### {name}\n\n{inspect.getdoc(value)}\n"
    methods = [
        (f"`{key}{_signature(item) if inspect.isfunction(item) else ''}`", _first_line(item))
        for key, item in _members(value).items()
        if not key.startswith("_") and (inspect.isfunction(item) or isinstance(item, property)) and item.__doc__
    ]
    return head + ("\n" + _table(("Member", "Purpose"), methods) if inspect.isclass(value) and methods else "")


def _options() -> str:
    """The declared options of machines and runs."""
    from realmlab import options

    tables = {
        "Machine": {"board": options.BOARD, **options.declared(options.MachineOptions)},
        "Machine.realm, Machine.run_realm": options.declared(options.RealmOptions),
        "Realm.run": options.declared(options.RealmRunOptions),
        "NsMachine": {"board": options.BOARD, **options.declared(options.NsMachineOptions)},
        "NsMachine.run": options.declared(options.NsRunOptions),
    }
    parts = ["## Options\n\nThe keyword arguments of machines and runs, and their spellings for `realmlab run`.\n"]
    for function, table in tables.items():
        rows = (
            (
                f"`{name}`",
                f"`{one.default!r}`" if isinstance(one.default, str | int | bytes | tuple) else "-",
                "-" if one.python_only or one.positional else f"`{one.spelling(name)}`",
                one.help,
            )
            for name, one in table.items()
        )
        parts.append(f"### {function}\n\n" + _table(("Parameter", "Default", "realmlab run", "Meaning"), rows))
    return "\n".join(parts)


def _members(value: object) -> dict[str, object]:
    """The members of a class or function by name, own members before inherited ones."""
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


def cpu() -> str:
    """The page of the CPU models."""
    head = ("Feature", "ID register", "Fields", "By", "What it is")
    parts = [
        f"{_NOTE}\n# CPU models\n\n`--cpu NAME` of `realmlab run`, `cpu=` of the API. Every PE of a machine is of one "
        "model. What an ID register reads as follows from these tables: all else is zero.\n\n",
        _table(("Model", "What it is"), ((f"`{one.name}`", one.about) for one in MODELS.values())),
        "\n*By* is who implements a feature: the engine, this machine, or *soft*: the machine keeps the registers and "
        "PSTATE bits of something that the engine does not know.\n",
        "\n## Every model\n\n" + _table(head, map(_feature, COMMON)),
    ]
    parts += [
        f"\n## {one.name}\n\n" + _table(head, map(_feature, one.features)) for one in MODELS.values() if one.features
    ]
    hidden = ((one.name, f"`{one.register.upper()}.{one.field}`", one.reason) for one in HIDDEN)
    parts.append("\n## Not shown\n\nWhat the engine could do, and no model has.\n\n")
    parts.append(_table(("Feature", "Field", "Reason"), hidden))
    return "".join(parts)


def not_modelled() -> str:
    """The page of what is not modelled."""
    bits = (
        (f"`{gap.register}`", ", ".join(f"`{name.upper()}`" for name in gap.fields), gap.missing, gap.why)
        for gap in UNMODELLED
    )
    return "".join(
        (
            f"{_NOTE}\n# Not modelled\n\nCode that relies on a fault may wait for it in vain. These fields of control "
            "registers read as they were written and do nothing; every other field works, or reads as zero.\n\n",
            _table(("Register", "Field", "What is missing", "Why"), bits),
            "\n## Besides\n\nWhat is different, and no field of a register asks for it.\n\n",
            _table(("Where", "What", "Why"), ELSEWHERE),
        )
    )


def _feature(one: Feature) -> tuple[str, ...]:
    fields = ", ".join(f"{name} = {value:#x}" for name, value in one.fields.items())
    return one.name, f"`{one.register.upper()}`", fields, one.source.value, one.about


PAGES: dict[str, Callable[[], str]] = {
    "rmi.md": rmi, "rsi.md": rsi, "psci.md": psci, "trace.md": trace, "api.md": api, "cpu.md": cpu,
    "not-modelled.md": not_modelled,
}  # fmt: skip
"""File name -> text."""


def main(arguments: list[str]) -> int:
    """Write every page to the given folder."""
    folder = Path(arguments[0] if arguments else "docs/reference")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, page in PAGES.items():
            (folder / name).write_text(page())
    except ManualError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
