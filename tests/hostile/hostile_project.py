"""Hostile projects: what ``realmlab new`` and ``build`` are given, and compilers that are none."""

import random

from hostile_case import Case, Content, Folder, Link, Program, ends, line
from hostile_elf import payload, spoil
from hostile_mutate import TEXTS, changed, mutate
from hostile_text import as_text, toml

__all__ = ["project_case"]

_SCRIPTS = {"realm": "realm.ld", "ns": "ns.ld", "secure": "secure.ld"}
_SOURCES = (
    "main.c",
    "a b.c",
    "-o.c",
    "\u6f22.c",
    "x.S",
    ".c",
    "a.b.c",
    "\x1b[2J.c",
    "main.S",
    "x_fp.c",
    "start.S",
    "a'b.c",
)
_COMPILER = """#!/bin/sh
[ "$1" = -dumpmachine ] && {{ echo {machine}; exit {first}; }}
while [ $# -gt 1 ]; do [ "$1" = -o ] && out="$2"; shift; done
{act}
"""
_ACTS = (
    'cp linked "$out"', 'cp linked "$out"', 'cp linked "$out"', ": > \"$out\"", "exit 3", "kill -9 $$", "true",
    'echo text > "$out"', 'truncate -s 600M "$out"', 'mkdir -p "$out"', 'ln -s nowhere "$out"',
    'rm -rf "$(dirname "$out")"',
)  # fmt: skip
_MACHINES = (
    "aarch64-linux-gnu",
    "aarch64-linux-gnu",
    "aarch64",
    "x86_64-linux-gnu",
    "''",
    "text",
    "$(printf '\\033[2J')",
)


def _name(source: random.Random) -> str:
    return source.choice(("x", "x", "mine", "..", "", "a/b", "X" * 300, *TEXTS)).replace("\0", "")


def _new(source: random.Random, number: int) -> Case:
    """A new project: of any world, in any folder, with any name."""
    files: dict[str, Content] = {"taken/file": b"x", "file": b"x", "empty": Folder(), "link": Link("nowhere")}
    folder = source.choice(
        (
            "mine",
            "mine",
            "empty",
            "taken",
            "file",
            "link",
            "a/b/c",
            "file/x",
            "/dev/null",
            "X" * 300,
            "-",
            _name(source),
        )
    )
    if folder in ("..", "/"):
        folder = "mine"
    words = ["new", source.choice(("realm", "realm", "realm", "ns", "ns", "secure", "REALM", "")), folder]
    words += ["--name", _name(source)] if source.random() < 0.4 else []
    words += ["--rust"] if source.random() < 0.1 else []
    argv = line(*words)
    outputs = frozenset({f"{folder}/", folder, "nowhere/", "nowhere", "a/"})
    return Case("project", number, argv, files, ends(argv)[0], outputs=outputs)


def _project(source: random.Random, name: str, world: str) -> bytes:
    """The file that says what a project is."""
    tree = {"name": name, "world": world, "board": source.choice(("fvp", "virt"))}
    if source.random() < 0.2:
        tree = changed(source, tree)
    found = toml(tree)
    return as_text(source, found) if source.random() < 0.05 else found.encode(errors="replace")


def _build(source: random.Random, number: int) -> Case:
    """A build with a compiler that answers anything and makes anything."""
    world = source.choice(tuple(_SCRIPTS))
    name = "mine" if source.random() < 0.9 else _name(source)
    files: dict[str, Content] = {
        "p/realmlab.toml": _project(source, name, world),
        f"p/{_SCRIPTS[world]}": b"SECTIONS {}",
    }
    for source_name in {"main.c", *source.choices(_SOURCES, k=source.choice((0, 0, 1, 3)))}:
        files[f"p/{source_name}"] = source.choice(
            (b"int main(void) { return 0; }", b"", Folder(), Link("nowhere"), b"\xff" * 100)
        )
    if source.random() < 0.1:
        del files[source.choice(sorted(files))]
    bundled = payload({"realm": "hello", "ns": "ns_rmi", "secure": "secure"}[world])
    files["linked"] = source.choice((bundled, spoil(source, bundled), mutate(source, bundled)))
    act = source.choice(_ACTS)
    text = _COMPILER.format(machine=source.choice(_MACHINES), first=0 if source.random() < 0.9 else 1, act=act)
    files["cc"] = (
        Program(text.encode())
        if source.random() < 0.9
        else source.choice((text.encode(), Program(b"\x7fELF"), Program(b"")))
    )
    argv = line(
        "build",
        source.choice(("p",) * 12 + ("./p/", "nowhere", "cc")),
        "--cc",
        source.choice(("./cc",) * 16 + ("cc", "none", "", "p")),
    )
    return Case("project", number, argv, files, ends(argv)[0], outputs=frozenset({"p/build/"}))


def project_case(source: random.Random, number: int) -> Case:
    """A project, new or built."""
    return _build(source, number) if number % 3 else _new(source, number)
