"""The pages of the commands: RMI, RSI and PSCI, from the RMM's command tables and its manual."""

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from cca_arch.extensions import PAGING_UID
from cca_arch.smccc import PSCI_FIDS, Fid
from cca_tools.reference.text import NOTE, ManualError, table

if TYPE_CHECKING:
    from cca_rmm.base.command import Command
    from cca_rmm.base.version import Extension, Version

__all__ = ["PSCI_CALLS", "manual", "paging", "psci", "rmi", "rsi", "sealing"]

PSCI_CALLS = frozenset(fid | bit for fid in PSCI_FIDS for bit in (0, Fid.smc64.mask))


def _registers(names: tuple[str, ...]) -> str:
    return ", ".join(f"X{number} `{name}`" for number, name in enumerate(names, 1)) or "-"


def _commands(title: str, about: str, prefix: str, version: "Version", rows: "Iterable[Command[Any]]") -> str:
    commands = sorted((row for row in rows if row.name != "NOT_SUPPORTED"), key=lambda row: row.fid)
    words = manual(version)
    names = [row.name if row.name.startswith("SMCCC") else row.title(prefix) for row in commands]
    texts = [_text(version, words, name, row) for name, row in zip(names, commands, strict=True)]
    parts = [
        f"{NOTE}\n# {title}\n\n{about}\n\n",
        table(
            ("FID", "Command", "In", "Out", "Purpose"),
            (
                (f"`{row.fid:#010x}`", f"`{name}`", _registers(row.ins), _registers(row.outs), text["purpose"])
                for name, row, text in zip(names, commands, texts, strict=True)
            ),
        ),
        "\n## Failure conditions and state changes\n\nThe conditions are in the order of the checks: the first that "
        "holds determines the status. A failing call changes nothing.\n",
    ]
    for name, row, text in zip(names, commands, texts, strict=True):
        parts.append(f"\n### {name}\n\n")
        if row.conditions:
            when = text["when"]
            checks = ((f"`{check.id}`", when[check.id], _status(check.status)) for check in row.conditions)
            parts.append(table(("Condition", "Holds when", "Status"), checks) + "\n")
        parts.append("On success:\n\n" + "".join(f"- {change}\n" for change in text["changes"]))
    parts.append("\n## Words\n\n" + table(("Term", "Meaning"), _terms(words)))
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


def sealing() -> str:
    """The commands that the extension ``sealing`` gives a Realm."""
    from cca_rmm.extensions.sealing import EXTENSION

    about = (
        "SMCs of a Realm to an RMM with the extension `sealing` (`--extension sealing`), which is Realmlab's own. "
        "Without it, they return NOT_SUPPORTED. They are in the range of vendors' hypervisors (SMCCC). The "
        "[guide](../guide-extensions.md) tells what they are for."
    )
    return _commands("Commands for sealing keys", about, "", _documented(EXTENSION), EXTENSION.services.values())


def paging() -> str:
    """The commands that the extension ``paging`` gives the Host."""
    from cca_rmm.extensions.paging import EXTENSION

    about = (
        "SMCs of the Host to an RMM with the extension `paging` (`--extension paging`), which is Realmlab's own. "
        "Without it, they return NOT_SUPPORTED. They are in the range of trusted applications (SMCCC), which EL3 "
        f"routes to the RMM then; EL3 itself answers the range's UID (`0xb000ff01`), which is {PAGING_UID}. The "
        "[guide](../guide-extensions.md) tells what they are for."
    )
    return _commands("Commands for paging", about, "", _documented(EXTENSION), EXTENSION.commands.values())


def _documented(extension: "Extension") -> "Version":
    """A version with the extension, whose manual is that of extensions."""
    return replace(_v1_0().extended(extension), manual=extension.manual)
