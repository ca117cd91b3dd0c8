"""The pages of the files that people write: boards, policies, and what each file may have."""

import inspect

from msgspec import Struct

from cca_platform.boardfile import TABLES, BoardFile
from cca_platform.devices.kinds import KEYS
from cca_platform.schema import fields
from cca_platform.userfiles import KINDS, amount
from cca_tools.reference.text import NOTE, table
from realmlab.attest.policy import Component, Policy

__all__ = ["board", "files", "policy"]

_HEAD = ("Key", "Value", "Unless given", "What it is")
_REQUIRED = "must be given"


def _keys(kind: type[Struct]) -> str:
    """The keys of a table."""
    rows = ((f"`{name}`", value, default or _REQUIRED, about) for name, value, default, about in fields(kind))
    return table(_HEAD, rows)


def _about(kind: type[Struct]) -> str:
    return (inspect.getdoc(kind) or "").replace("``", "`")


def board() -> str:
    """The keys of a board's TOML file."""
    parts = [f"{NOTE}\n# Board files\n\n{_about(BoardFile)} See [boards](../guide-boards.md#a-board-file).\n\n"]
    parts.append(_keys(BoardFile))
    parts += [f"\n## {name}\n\n{_about(kind)}\n\n{_keys(kind)}" for name, kind in TABLES.items()]
    rows = (
        (f"`{kind}`", f"`{name}`", value, default or _REQUIRED, about)
        for kind, keys in sorted(KEYS.items())
        for name, value, default, about in fields(keys)
    )
    none = ", ".join(f"`{kind}`" for kind, keys in sorted(KEYS.items()) if not keys.__struct_fields__)
    parts.append("\n## Further keys by kind\n\n" + table(("Kind", *_HEAD), rows) + f"\nWithout further keys: {none}.\n")
    return "".join(parts)


def policy() -> str:
    """The keys of a policy file."""
    return (
        f"{NOTE}\n# Policy files\n\n{_about(Policy)} In TOML, or in JSON if the name ends in `.json`. "
        f"See [attestation](../guide-attestation.md).\n\n{_keys(Policy)}"
        f"\n## [[components]]\n\n{_about(Component)}\n\n{_keys(Component)}"
    )


def files() -> str:
    """What each file may have."""
    rows = ((one.name, amount(one.limit) if one.limit else "the size of its range", one.why) for one in KINDS.values())
    return (
        f"{NOTE}\n# Files that are read\n\nA file is checked before it is read: a larger one is refused by its size. "
        "Pipes and devices are read up to the limit, and given up when they give nothing for 30 seconds. A file that "
        "changes while it is read is refused. `-` is stdin for tokens, traces and console input.\n\n"
        "Of an ELF file of more than 8 MiB only what is loaded is read, and its symbols: the limit is for those, not "
        "for debug information. Traces are shown line by line.\n\n" + table(("File", "At most", "Why"), rows)
    )
