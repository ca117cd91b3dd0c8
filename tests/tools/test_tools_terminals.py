"""Any terminal, any locale and any name of a file: no traceback, text that can be read, and the right status.

Each environment is a process of its own that runs all command lines, one after the other, as ``realmlab`` would.
"""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from typer.main import get_command

from cca_platform.printable import printable
from cca_tools.cli.commands import app

TOKEN: Final = Path(__file__).parents[1] / "attestation" / "vectors" / "generated-rel0-token.cbor"
STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
DRIVER: Final = """
import json, os, sys
from cca_tools.start import main

for number, words in enumerate(json.load(open(sys.argv[1], encoding="ascii"))):
    sys.argv = ["realmlab", *(os.fsdecode(word.encode("latin-1")) for word in words)]
    try:
        status = main()
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = "traceback"
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        stream.write(f"\\n=== {number} {status}\\n")
        stream.flush()
"""
BYTES: Final = "n\xff\x9bame"
"""A name that is not UTF-8, each character a byte."""
BROKEN: Final = "new\nline\t\x1b"
LONG: Final = "x" * 5000


class Environment(NamedTuple):
    """A terminal of so many columns, or none, and what the environment says."""

    variables: dict[str, str]
    columns: int = 0
    encoding: str = "utf-8"
    colours: bool = False


POSIX: Final = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENVIRONMENTS: Final = {
    "posix": Environment(POSIX, 0, "ascii"),
    "narrow-ascii": Environment({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, 20, "ascii"),
    "terminal": Environment({"TERM": "xterm-256color"}, 80, "utf-8", True),
    "latin-1": Environment({"PYTHONIOENCODING": "latin-1", "TERM": "dumb"}, 100, "latin-1"),
    "utf-16": Environment({"PYTHONIOENCODING": "utf-16-le"}, 0, "utf-16-le"),
    "no-term": Environment({}, 20),
    "no-colour": Environment({"TERM": "xterm", "NO_COLOR": "1"}, 120),
    "forced": Environment({"FORCE_COLOR": "1"}, 0, "utf-8", True),
    "columns": Environment({"COLUMNS": "20", "TERM": "xterm", "NO_COLOR": "1"}, 200),
    "nonsense": Environment({"COLUMNS": "²", "LINES": "-1", "TERMINAL_WIDTH": "9" * 12, "LANG": "\x1b"}, 1),
}
KEPT: Final = ("PATH", "HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
EVERY_RUN: Final = ("narrow-ascii", "terminal")


class Done(NamedTuple):
    """What a command line did."""

    status: str
    out: str
    err: str


def drained(descriptor: int, into: bytearray) -> None:
    """Take everything that comes out."""
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # the other end of a terminal has gone
            return
        if not data:
            return
        into += data


def run(environment: Environment, lines: Sequence[Sequence[str]], folder: Path) -> list[Done]:
    """Run command lines, each word in characters that are bytes, in an environment."""
    cases = folder / "cases.json"
    cases.write_text(json.dumps(lines), encoding="ascii")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    variables = kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | environment.variables
    pairs = [pty.openpty() if environment.columns else os.pipe() for _ in range(2)]
    ends = [pair[1] for pair in pairs]
    for end in ends if environment.columns else ():
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, environment.columns, 0, 0))
        attributes = termios.tcgetattr(end)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(end, termios.TCSANOW, attributes)
    taken = [bytearray(), bytearray()]
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(cases)], stdin=subprocess.DEVNULL, stdout=ends[0], stderr=ends[1],
        cwd=folder, env=variables,
    ) as process:  # fmt: skip
        readers = [threading.Thread(target=drained, args=(pairs[at][0], taken[at])) for at in range(2)]
        for end in ends:
            os.close(end)
        for reader in readers:
            reader.start()
        assert process.wait(timeout=200) == 0, taken[1].decode(errors="replace")[-3000:]
        for reader in readers:
            reader.join()
    for pair in pairs:
        os.close(pair[0])
    parts = [re.split(r"\n=== \d+ (\S+)\n", bytes(one).decode(environment.encoding)) for one in taken]
    assert len(parts[0]) == len(parts[1]) == 2 * len(lines) + 1
    return [Done(parts[0][at + 1], parts[0][at], parts[1][at]) for at in range(0, 2 * len(lines), 2)]


def commands(group: Any, *names: str) -> list[tuple[str, ...]]:
    """The words of every command and group."""
    found = [names]
    for name, one in group.commands.items():
        found += commands(one, *names, name) if hasattr(one, "commands") else [(*names, name)]
    return found


def cases() -> dict[str, tuple[list[str], set[int]]]:
    """Command lines with their statuses."""
    run, ns = ["run", "hello", "--max-insns", "2000"], ["run", "--world", "ns-el2", "ns_rmi", "--timeout-insns", "1000"]
    found: dict[str, tuple[list[str], set[int]]] = {
        "run": (run, {4}),
        "whole run": (["run", "hello"], {0}),
        "json": ([*run, "--json"], {4}),
        "trace": ([*run, "--trace", "-"], {4}),
        "trace file": ([*run, "--trace", BYTES + ".jsonl"], {4}),
        "show": (["trace", "show", BYTES + ".jsonl"], {0}),
        "ns": (ns, {4}),
        "args": ([*run, "--", BYTES, BROKEN], {4, 2}),
        "until": ([*ns, "--until", BYTES, "--expect", BYTES, "--reject", BROKEN], {4}),
        "uart": ([*ns, "--uart", f"u{BYTES}"], {4}),
        "uart name": ([*ns, "--uart", f"{BYTES}=x"], {4}),
        "inspect": (["inspect", "hello"], {0}),
        "inspect json": (["inspect", "hello", "--json"], {0}),
        "version": (["version"], {0}),
        "payloads": (["payloads"], {0}),
        "bench": (["bench", "--rows", "no such row"], {0}),
        "attest show": (["attest", "show", str(TOKEN)], {0}),
        "attest verify": (["attest", "verify", str(TOKEN)], {1}),
        "cpak": (["attest", "cpak"], {0}),
        "sdk": (["sdk"], {0}),
    }
    for words in commands(get_command(app)):
        found[f"help {' '.join(words)}"] = [*words, "--help"], {0}
        found[f"bad {' '.join(words)}"] = [*words, "--\xff\x1b"], {2}
    found["nothing"] = [], {2}
    found["group"] = ["trace"], {2}
    for kind, name in (("bytes", BYTES), ("broken", BROKEN), ("long", LONG), ("deep", "d/" * 3000)):
        for words in (["run", name], ["inspect", name], ["trace", "show", name], ["attest", "show", name], [name]):
            found[f"{kind} {words[0]} {len(words)}"] = words, {2}
        for option in ("--board", "--console-input", "--device-module", "--memory", "--rpv", "--vcpus", "--cpu"):
            found[f"{kind} {option}"] = [*run, option, name], {2}
        for option in ("--secure", "--dtb", "--entry", "--nonvolatile", "--expect"):
            found[f"{kind} ns {option}"] = [*ns, option, name], {2, 4}
        found[f"{kind} nonvolatile"] = [*ns, "--nonvolatile", f"0x90000000:4K={name}"], {4, 2}
        for option in ("--policy", "--cpak", "--challenge"):
            found[f"{kind} {option}"] = ["attest", "verify", str(TOKEN), option, name], {2}
        found[f"{kind} repair"] = ["inspect", "hello", "--repair", f"{name}.elf"], {0, 2}
        found[f"{kind} trace"] = [*run, "--trace", f"{name}.jsonl"], {4, 2}
        found[f"{kind} new"] = ["new", "realm", name], {0, 2}
        found[f"{kind} build"] = ["build", f"no{name}"], {2}
    return found


CASES: Final = cases()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every command line ends as it must, and what it shows can be read there."""
    if name not in EVERY_RUN and not request.config.getoption("--all-terminals"):
        pytest.skip("needs --all-terminals")
    environment = ENVIRONMENTS[name]
    lines = [words for words, _ in CASES.values()]
    if name == "utf-16":  # a console sends bytes, which are half a character there
        lines = [["run", "--console-escape", *words[1:]] if words[:2] == ["run", "hello"] else words for words in lines]
    wrong: list[object] = []
    coloured = []
    for (case, (words, statuses)), done in zip(CASES.items(), run(environment, lines, tmp_path), strict=True):
        text = done.out + "\n" + done.err
        if done.status not in map(str, statuses):
            wrong.append((case, done.status, words, done.err[-1500:]))
        elif "Traceback" in text:
            wrong.append((case, "Traceback", words, text[-1500:]))
        plain = STYLE.sub("", text)
        odd = [line for line in plain.replace("\r\n", "\n").split("\n") if line != printable(line)]
        if odd:
            wrong.append((case, "raw", words, ascii(odd[0])))
        if plain != text and not environment.colours:
            wrong.append((case, "colour", words, ascii(text[:300])))
        coloured.append(plain != text)
    assert not wrong, "\n".join(map(str, wrong))
    assert any(coloured) == environment.colours
