"""Hostile surroundings: environment variables that are missing or wrong, and damaged entries of compiled code."""

import os
import random
from functools import cache
from pathlib import Path

from hostile_case import Case, Content, Folder, Link, ends, line
from hostile_elf import payload
from hostile_mutate import mutate, text
from tokens import good, seal

__all__ = ["cache_case", "environment_case"]

_VALUES: dict[str, tuple[str | None, ...]] = {
    "HOME": (None, "", "/", "/nonexistent", "/dev/null", "relative", "/proc", "\u6f22"),
    "TMPDIR": (None, "", "/nonexistent", "/dev/null", "relative", "/proc"),
    "TERM": (None, "", "dumb", "xterm-256color", "unknown", "\x1b[2J"),
    "COLUMNS": (None, "", "0", "1", "7", "-5", "x", "99999999", "1e3"),
    "LINES": ("0", "x"),
    "TERMINAL_WIDTH": ("", "0", "1", "x", "-1", "20"),
    "NO_COLOR": ("", "1"),
    "FORCE_COLOR": ("", "1"),
    "LC_ALL": ("C", "POSIX", "C.UTF-8", "xx_XX.nothing", "", "tr_TR.UTF-8"),
    "LANG": ("C", "", "ja_JP.SJIS"),
    "PYTHONIOENCODING": ("ascii", "latin-1", "utf-8:strict", "ascii:strict", "cp1252:replace"),
    "PYTHONUTF8": ("0", "1"),
    "PYTHONCOERCECLOCALE": ("0",),
    "PYTHONWARNINGS": ("error", "always", "x"),
    "PYTHONUNBUFFERED": ("1",),
    "PYTHONOPTIMIZE": ("1", "2"),
    "XDG_CACHE_HOME": ("", "relative", "/nonexistent", "/dev/null"),
    "NUMBA_CACHE_DIR": ("", "/nonexistent", "/dev/null", "/proc"),
    "NUMBA_NUM_THREADS": ("0", "x"),
    "NUMBA_DEBUG": ("0", "x"),
    "NUMBA_OPT": ("x", ""),
    "TYPER_STANDARD_TRACEBACK": ("1",),
    "TYPER_USE_RICH": ("0", "x"),
    "_REALMLAB_COMPLETE": ("", "complete_bash", "complete_zsh", "source_bash", "complete_fish", "x", "complete_",
    "show_bash"),
    "COMP_WORDS": ("realmlab run --", "realmlab 'unclosed", "", "realmlab run \u6f22"),
    "COMP_CWORD": ("0", "1", "2", "-1", "x", "99"),
    "_TYPER_COMPLETE_ARGS": ("realmlab run --bo", "realmlab 'unclosed", ""),
    "TZ": ("Nowhere/Nothing", ":"),
    "PATH": (None, ""),
    "PAGER": ("/nonexistent",),
    "USER": (None, "\u6f22"),
}  # fmt: skip
_COLD = ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "NUMBA_OPT", "NUMBA_DEBUG", "NUMBA_NUM_THREADS")
_QUICK: tuple[tuple[str, ...], ...] = (
    ("version",), ("payloads",), ("inspect", "x.elf"), ("attest", "show", "token"), ("run", "--help"), ("--help",),
    ("attest", "verify", "token", "--policy", "none"), ("trace", "show", "t.jsonl"), ("run", "h\u00e9llo"), (),
    ("attest", "cpak"),
)  # fmt: skip
_RUN: tuple[tuple[str, ...], ...] = (
    ("run", "x.elf"),
    ("run", "hello", "--", "\u6f22"),
    ("run", "--world", "ns-el2", "ns_rmi"),
)


def _files() -> dict[str, Content]:
    record = '{"seq":0,"time":0,"pe":0,"world":"realm","el":1,"event":"console.write","text":"\u6f22\U0001f600"}\n'
    return {"x.elf": payload("lost"), "token": seal(good()), "t.jsonl": record.encode()}


def environment_case(source: random.Random, number: int) -> Case:
    """A command with variables that are missing or wrong; the entries of compiled code are where they always are."""
    names = source.sample(sorted(_VALUES.keys() - set(_COLD)), source.choice((1, 2, 3, 6)))
    environment = {name: source.choice(_VALUES[name]) for name in names}
    if "_REALMLAB_COMPLETE" in environment:
        environment |= {
            name: source.choice(_VALUES[name]) for name in ("COMP_WORDS", "COMP_CWORD", "_TYPER_COMPLETE_ARGS")
        }
    elif source.random() < 0.2:
        environment[source.choice(_COLD[:2])] = None
    argv = line(*source.choice((*_QUICK, *_QUICK, *_RUN)))
    statuses, raw = ends(argv or line("--help"))
    completing = bool(environment.get("_REALMLAB_COMPLETE"))
    # completion prints a script for a shell, with the line breaks and tabs of its own; it may have any status
    return Case(
        "environment", number, argv, _files(), frozenset(range(3)) if completing else statuses, environment=environment,
        raw=raw or completing, spawn=True, outputs=frozenset({"relative"}),
    )  # fmt: skip


@cache
def _entries() -> dict[str, bytes]:
    """The smallest entries of compiled code of this version: what is compiled again takes a second or two."""
    from cca_platform.native import cache as native

    folder = native.store().folder
    assert folder is not None, "native code has a folder where tests run"
    found = sorted((path for path in Path(folder).iterdir() if path.is_file()), key=lambda path: path.stat().st_size)
    return {path.name: path.read_bytes() for path in found}


_SMALL = 40


def cache_case(source: random.Random, number: int) -> Case:
    """An entry of compiled code that is empty, cut off, changed, another's, a folder or a link."""
    from cca_platform.native import cache as native

    entries = _entries()
    place = f"cache/{native.folder()}"
    files: dict[str, Content] = {**_files(), **{f"{place}/{name}": data for name, data in entries.items()}}
    for name in source.sample(list(entries)[:_SMALL], source.choice((1, 1, 2))):
        data, other = entries[name], source.choice(list(entries.values()))
        ways: tuple[Content, ...] = (
            b"", data[:10], data[: len(data) // 2], mutate(source, data), data[:32], bytes(len(data)), other, Folder(),
            Link("nowhere"), Link(name), data + b"x", text(source).encode(errors="replace"),
        )  # fmt: skip
        files[f"{place}/{name}"] = source.choice(ways)
    argv = line("run", "x.elf", "--max-insns", "20000")
    statuses, raw = ends(argv)
    environment = {"NUMBA_CACHE_DIR": "{folder}/cache"}
    outputs = frozenset({*files, *(f"{place}/{name}" for name in os.listdir(native.store().folder or "."))})
    return Case("cache", number, argv, files, statuses, environment=environment, raw=raw, spawn=True, outputs=outputs)
