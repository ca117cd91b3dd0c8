"""The page of the Python API, from its docstrings and the declared options."""

import inspect
from collections.abc import Callable
from typing import Any

from cca_tools.reference.text import NOTE, table

__all__ = ["api"]

_SECTIONS: dict[str, tuple[str, ...]] = {
    "Machines": ("Machine", "Realm", "Vcpu", "NsMachine", "NsImage", "Snapshot", "Hook", "Listener"),
    "Results": ("RunResult", "NsResult", "Progress", "Reason", "Failure", "FirstException"),
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
    parts = [f"{NOTE}\n# Python API\n\n```python\n{inspect.getdoc(realmlab)}\n```\n"]
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
    return head + ("\n" + table(("Member", "Purpose"), methods) if inspect.isclass(value) and methods else "")


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
    for function, declared in tables.items():
        rows = (
            (
                f"`{name}`",
                f"`{one.default!r}`" if isinstance(one.default, str | int | bytes | tuple) else "-",
                "-" if one.python_only or one.positional else f"`{one.spelling(name)}`",
                one.help,
            )
            for name, one in declared.items()
        )
        parts.append(f"### {function}\n\n" + table(("Parameter", "Default", "realmlab run", "Meaning"), rows))
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
