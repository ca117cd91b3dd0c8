"""Whatever a stranger chose is shown and not obeyed: one mark goes through every input, and no output has it raw.

The outputs are stdout and stderr, on a terminal and in a pipe, text and JSON. What consoles send is raw, as in QEMU,
unless --console-escape asks for escapes.
"""

import io
import json
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from elf_files import BASE, HEADER, SEGMENT, elf
from ns_code import OFF, assemble, constant, say
from realm_code import load, smc
from rmm_host import RAM
from tokens import good, seal
from typer.main import get_command

import realmlab
from cca_arch.devicetree import Node, flatten
from cca_arch.psci import Psci
from cca_host.kvmtool.layout import UART_BASE
from cca_platform import board as boards
from cca_platform.printable import printable
from cca_tools.cli import main
from cca_tools.cli.commands import app
from cca_tools.cli.consoles import Escape
from cca_tools.cli.uarts import Uarts

MARK: Final = "\x1b]0;pwned\x07\x9b2J\u202e\u200b\u2028\x7f[red]x[/]\r\nFORGED"
NAME: Final = MARK.replace("/", "|")
"""The mark as the name of a file."""
TEXT: Final = "pwned"  # shows that the mark has come through
STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
TOKEN: Final = Path(__file__).parents[1] / "attestation" / "vectors" / "generated-rel0-token.cbor"


class Stream(io.TextIOWrapper):
    """A stream that is a terminal, or none."""

    def __init__(self, terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="backslashreplace", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


Shown = Callable[..., str]
REDRAWN: Final = "\r\x1b[K"
"""The line of a progress begins anew."""
ABORTS: Final = "mov x1, #1; ldr x0, [x1]; hang: b hang"
REALM_UART: Final = 1 << 32 | UART_BASE  # the alias that the Realm shares with its host


def realm_says(text: str) -> str:
    """Instructions of a Realm that send a text to its UART and end it."""
    sends = "".join(f"mov w1, #{byte}; strb w1, [x2];" for byte in text.encode())
    return f"{load('x2', REALM_UART)}; {sends} {smc(Psci.SYSTEM_OFF)}"


@pytest.fixture(params=[True, False], ids=["terminal", "pipe"])
def shown(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Shown:
    """Runs a command; returns what it printed. Nothing of it is obeyed by a terminal, unless it may be ``raw``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(*argv: object, raw: bool = False) -> str:
        streams = Stream(request.param), Stream(request.param)
        with monkeypatch.context() as here:
            here.setattr(sys, "stdout", streams[0])
            here.setattr(sys, "stderr", streams[1])
            status = main([str(one) for one in argv])
        text = "\n".join(stream.text for stream in streams)
        assert status in (0, 1, 2, 3, 4), text
        assert capfd.readouterr() == ("", ""), "something prints past the streams"
        text = STYLE.sub("", text).replace(REDRAWN, "\n") if request.param else text
        if not raw:
            harmless(text)
        return text

    return run


def harmless(text: str) -> None:
    """No terminal obeys it, and no line of it is the stranger's."""
    for line in text.split("\n"):
        assert line == printable(line), ascii(line)
        assert not line.startswith("FORGED")


def commands(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the command line, with its words."""
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, *names, name)
        else:
            yield (*names, name), one


NOTHING_FETCHED: Final = ["--mirror", "file:///none", "--cache", "cache"]
USUAL: Final = {
    ("run",): ["hello", "--max-insns", "1000"],
    ("bench",): ["--rows", "no such row"],
    ("inspect",): ["hello"],
    ("attest", "verify"): [str(TOKEN)],
    ("attest", "show"): [str(TOKEN)],
    ("trace", "show"): [os.devnull],
    ("linux",): NOTHING_FETCHED,
    ("measure", "linux"): NOTHING_FETCHED,
}
"""Arguments with which a command does little."""


def command_lines() -> Iterator[list[str]]:
    """The mark in each place of each command line."""
    yield from ([MARK], ["--" + MARK], ["trace", MARK], ["attest", MARK])
    for words, one in commands(get_command(app)):
        usual = USUAL.get(words, [])
        for param in one.params:
            if param.param_type_name == "argument":
                yield [*words, *(usual if usual and usual[0].startswith("-") else usual[1:]), MARK]
            elif not getattr(param, "is_flag", False):
                yield [*words, *usual, param.opts[0], NAME]
        yield from ([*words, *usual, "--" + MARK], [*words, *usual, MARK, MARK, MARK])
    for world in (["ns-el2", "ns_rmi", "--timeout-insns", "1000"],):
        for param in get_command(app).commands["run"].params:  # type: ignore[attr-defined] # a group
            if param.param_type_name == "option" and not param.is_flag:
                yield ["run", "--world", *world, param.opts[0], NAME]
        yield ["run", "--world", *world, "--uart", f"{MARK}=x", "--uart", f"9{MARK}=x"]


def called(words: list[str]) -> str:
    """The name of a case."""
    return " ".join(words).replace(MARK, "MARK").replace(NAME, "MARK").replace(str(TOKEN), "TOKEN")


@pytest.mark.parametrize("words", list(command_lines()), ids=called)
def test_command_lines(words: list[str], shown: Shown) -> None:
    """Arguments and options, those that are refused and those that are taken."""
    shown(*words)


def put(name: str, data: bytes | str) -> Path:
    """A file of a stranger, whose name is one, too."""
    path = Path(f"{name}{NAME}")
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def named(code: bytes, base: int) -> bytes:
    """An ELF whose section and symbol have the mark in their names."""
    mark = MARK.encode()
    names = b"\0" + mark + b"\0text\0"
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1, 0x12, 0, 1, base, len(code))
    start = HEADER.size + SEGMENT.size
    parts = [code.ljust(-(-len(code) // 8) * 8, b"\0"), names.ljust(-(-len(names) // 8) * 8, b"\0"), symbols]
    places = [start, *(start + sum(map(len, parts[:count])) for count in (1, 2, 3))]
    rows = [
        (0,) * 10,
        (1, 1, 6, base, places[0], len(code), 0, 0, 8, 0),
        (1, 3, 0, 0, places[1], len(names), 0, 0, 1, 0),
        (1, 2, 0, 0, places[2], len(symbols), 2, 1, 8, 24),
    ]
    sections = b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = HEADER.pack(ident, 2, 183, 1, base, HEADER.size, places[3], 0, 64, 56, 1, 64, len(rows), 2)
    return head + SEGMENT.pack(1, 7, start, base, base, len(code), len(code), 8) + b"".join(parts) + sections


class TestFiles:
    """Names and texts inside files."""

    @pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
    def test_elf(self, options: list[str], shown: Shown) -> None:
        """Sections, symbols, and the file's own name."""
        path = put("payload", named(bytes(8), RAM))
        text = shown("inspect", path, *options)
        assert text.count(TEXT) == (4 if not options else 2)

    def test_symbols(self, shown: Shown) -> None:
        """Symbols in what is said of a payload that fails, and in its trace."""
        path = put("payload", named(assemble(ABORTS, RAM), RAM))
        text = shown("run", path, "--trace", "run.jsonl", "--max-insns", "100000")
        assert f"payload{TEXT}" not in text and TEXT in text
        text = shown("trace", "show", "run.jsonl", "--symbols", path)
        assert f"pc is {printable(MARK)}" in text

    @pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
    def test_token(self, options: list[str], shown: Shown) -> None:
        """Texts of claims, of components and of unknown claims, and text where something else must be."""
        plain = good()
        claims = [("platform", 2400), ("platform", 2402), ("realm", 44236), ("platform", 99), ("realm", MARK)]
        claims += [(half, key) for half in plain for key in plain[half]]
        for half, key in claims:
            token = good()
            token[half][key] = MARK
            if options:
                shown("attest", "verify", put("token", seal(token)), *options)
            else:
                assert TEXT in shown("attest", "show", put("token", seal(token)), *options)
        for key in (1, 2, 4, 5, 6, MARK):
            token = good()
            token["platform"][2399][0][key] = MARK
            assert TEXT in shown("attest", "show", put("token", seal(token)), *options)
        armoured = b"-----BEGIN CCA TOKEN-----\n" + MARK.encode()
        for junk in (MARK.encode(), cbor2.dumps(MARK), cbor2.dumps({MARK: MARK}), armoured):
            shown("attest", "show", put("token", junk), *options)
            shown("attest", "verify", put("token", junk), *options)

    def test_policy(self, shown: Shown) -> None:
        """Keys and values of a policy, in TOML and in JSON, and the key to trust."""
        quoted = json.dumps(MARK)
        for text in (
            f"{quoted} = 1", f"rim = {quoted}", f"lifecycle = [{quoted}]", f"[[components]]\ntype = {quoted}",
            f"[[components]]\n{quoted} = 1", f"[rems]\n{quoted} = 1", f"rpv = [{quoted}]", MARK,
        ):  # fmt: skip
            shown("attest", "verify", TOKEN, "--policy", put("policy", text))
        for data in ({MARK: 1}, {"rim": MARK}, {"components": [{"type": MARK, "version": MARK}]}, [MARK], MARK):
            path = put("policy", json.dumps(data))
            shown("attest", "verify", TOKEN, "--policy", path.rename(f"{path}.json"))
        shown("attest", "verify", TOKEN, "--cpak", put("key", MARK))
        shown("attest", "verify", TOKEN, "--challenge", MARK)

    def test_trace(self, shown: Shown) -> None:
        """Every part of a record: names, values, and what all records begin with."""
        place: dict[str, Any] = {"seq": 0, "time": 0, "pe": 0, "world": "realm", "el": 1, "event": "fault.x"}
        records = [
            *(place | {key: value} for key in place for value in (MARK, [MARK], {MARK: MARK})),
            place | {MARK: {MARK: [MARK]}}, place | {"esr": MARK, "pc": MARK}, {MARK: 1},
            {"seq": 0, "event": "trace.start", "schema": MARK, "realmlab": MARK},
        ]  # fmt: skip
        for record in records:
            shown("trace", "show", put("trace", json.dumps(record, ensure_ascii=False) + "\n"))
        shown("trace", "show", put("trace", MARK))

    @pytest.mark.parametrize("world", ["realm", "ns-el2"])
    def test_board(self, world: str, shown: Shown) -> None:
        """Every text of a board, and every key, in place of what is there; and what it refuses."""
        text = (Path(boards.__file__).parent / "boards" / "virt.toml").read_text(encoding="utf-8")
        quoted = json.dumps(MARK).replace("\x7f", "\\u007f")
        values, keys = set(re.findall(r'"[^"\n]+"', text)), set(re.findall(r"(?m)^(\w+) =", text))
        variants = {re.sub(re.escape(old), lambda _: quoted, text, count=1) for old in values}
        variants |= {re.sub(rf"(?m)^{key} =", lambda _: f"{quoted} =", text, count=1) for key in keys}
        variants |= {f"{text}\n[{quoted}]\n", MARK, f"like = {quoted}"}
        payload = ["ns_rmi", "--timeout-insns", "100"] if world == "ns-el2" else ["hello", "--max-insns", "100"]
        for variant in sorted(variants)[world == "realm" :: 2]:  # the world hardly matters
            shown("run", "--world", world, *payload, "--board", put("board", variant), "--json")

    def test_device(self, shown: Shown) -> None:
        """The summary and the trace name a device that software looked for, and a UART that sent something."""
        quoted = json.dumps(MARK).replace("\x7f", "\\u007f")
        device = f'[[device]]\nname = {quoted}\nkind = "window"\nbase = 0x1C40_0000\nsize = 0x1000\n'
        board = put("board", f'like = "fvp"\n{device}')
        code = put("code", assemble(f"{constant('x1', 0x1C40_0000)} ldr w2, [x1]; {OFF}"))
        for options in ([], ["--json"], ["--trace", "-"]):
            assert TEXT in shown("run", "--world", "ns-el2", code, "--board", board, *options)

    @pytest.mark.parametrize(
        "module",
        [
            f"raise ValueError({MARK!r})", f"raise SystemExit({MARK!r})", f"import {TEXT}",
            f"DEVICES = {{{MARK!r}: 1}}", "DEVICES = {1: 1}", f"DEVICES = {MARK!r}",
            f"class {TEXT}: pass\nDEVICES = {{'x': {TEXT}}}", f"\x1b]0;{TEXT}",
            f"import warnings; warnings.warn({MARK!r}, UserWarning, stacklevel=1)\nDEVICES = {{}}",
        ],
        ids=["import", "exit", "module", "kind", "number", "devices", "class", "syntax", "warning"],
    )  # fmt: skip
    def test_device_module(self, module: str, shown: Shown) -> None:
        """What a module of devices raises, and what is wrong with it."""
        shown("run", "hello", "--max-insns", "100", "--device-module", put("module", module))


    def test_device_tree(self, shown: Shown) -> None:
        """Nodes and properties of a device tree, whole and damaged."""
        data = flatten(Node(MARK, {MARK: MARK}, [Node(MARK, {"compatible": MARK})]))
        for changed in (data, data[:-20], data.replace(b"FORGED", b"\xff\xff\xff\xff\xff\xff")):
            shown("run", "--world", "ns-el2", "ns_rmi", "--max-insns", "100", "--dtb", put("tree", changed))

    def test_programs(self, shown: Shown) -> None:
        """What a payload is that is no program, and the library that it needs."""
        library = MARK.encode() + b"\0"
        dynamic = struct.pack("<8Q", 5, BASE, 10, len(library), 1, 0, 0, 0)
        contents = library.ljust(128, b"\0")
        needy = elf((1, BASE, contents, len(contents)), (2, 0x9000, dynamic, len(dynamic)), kind=3)
        for data in (f"#!{MARK}", MARK, b"\x1f\x8b" + MARK.encode(), needy):
            for command in (["run"], ["inspect"], ["run", "--world", "ns-el2", "--max-insns", "100"]):
                shown(*command, put("program", data))

    @pytest.mark.parametrize("key", ["name", "world", "lang", MARK])
    def test_project(self, key: str, shown: Shown, tmp_path: Path) -> None:
        """The file of a project."""
        shown("new", "realm", "mine")
        path = next((tmp_path / "mine").glob("*.toml"))
        quoted = json.dumps(MARK).replace("\x7f", "\\u007f")
        text = re.sub(f"(?m)^{key} = .*\n", "", path.read_text()) if key != MARK else path.read_text()
        path.write_text(f"{quoted if key == MARK else key} = {quoted}\n{text}")
        assert TEXT in shown("build", "mine")


class TestTools:
    def test_completion(self, shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the completion of a shell is installed."""
        home = tmp_path / NAME
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
        assert TEXT in shown("--install-completion", "bash")
        assert TEXT not in shown("--show-completion", "bash")

    @pytest.mark.parametrize("status", [0, 1])
    def test_compiler(self, status: int, shown: Shown, tmp_path: Path) -> None:
        """What a compiler quotes of a source, tabs in line."""
        compiler = tmp_path / "cc"
        source = "\t" + MARK.replace("\n", "")
        quoted = "".join(f"\\{one:03o}" for one in source.encode())
        compiler.write_text(
            f'#!/bin/sh\ncase "$1" in -dumpmachine) echo aarch64;; *) printf "{quoted}\\n"; exit {status};; esac\n'
        )
        compiler.chmod(0o755)
        shown("new", "realm", "mine")
        assert printable(source.expandtabs()) in shown("build", "mine", "--cc", compiler)


class TestGuests:
    """What a guest chose."""

    def test_console(self, shown: Shown) -> None:
        """The console is the guest's, as in QEMU; JSON and traces have it escaped, --console-escape has it so, too."""
        ns = ["run", "--world", "ns-el2", put("guest", assemble(say(MARK) + OFF))]
        realm = ["run", put("realm", assemble(realm_says(MARK), RAM)), "--max-insns", "100000"]
        for command in (ns, realm):
            assert MARK in shown(*command, raw=True)
            for options in (["--console-escape"], ["--json"], ["--json", "--trace", "run.jsonl"]):
                text = shown(*command, *options, raw=options == ["--console-escape"])
                assert TEXT in text and "\x1b]" not in text
            assert "\r\nFORGED" in shown(*command, "--console-escape", raw=True)
            harmless(Path("run.jsonl").read_text(encoding="utf-8"))
            shown("trace", "show", "run.jsonl")
            shown(*command, "-q", "--trace", "-", "--console-escape", raw=True)

    def test_messages(self, shown: Shown) -> None:
        """What a console showed, and what it should have shown."""
        path = put("guest", assemble(say(MARK) + OFF))
        for options in (["--reject", TEXT], ["--expect", f"{MARK[:8]}no"], ["--until", f"{MARK}no"]):
            text = shown("run", "--world", "ns-el2", path, *options, "--json")
            assert TEXT in text


class TestApi:
    """The API says what happened in the same way."""

    def test_reprs(self, shown: Shown) -> None:
        """Reprs, errors and messages of what a stranger named."""
        path = put("payload", named(assemble(ABORTS, RAM), RAM))
        with realmlab.Machine() as machine:
            result = machine.run_realm(path, max_insns=100_000)
            with machine.realm(path) as realm:
                realm.run(max_insns=1)
                said = [repr(result), result.message, repr(realm), repr(realm.vcpus), repr(realm.vcpus[0].regs)]
        for line in said:
            harmless(line)


class TestEscape:
    """--console-escape, byte by byte."""

    @pytest.mark.parametrize(
        ("sent", "encoding", "told"),
        [
            (b"a\tb\nc\r\nd", "utf-8", b"a\tb\nc\r\nd"),
            (b"a\rb\r\r\n\r", "utf-8", b"a\\rb\\r\r\n\\r"),
            (b"\x1b[2J\x7f\xc2\x9b", "utf-8", b"\\x1b[2J\\x7f\\x9b"),
            ("é日\u202e".encode(), "utf-8", "é日\\u202e".encode()),
            (b"\xff\xe6\x97", "utf-8", b"\\xff\\xe6\\x97"),
            ("é日".encode(), "latin-1", b"\xe9\\u65e5"),
            ("é".encode(), "ascii", b"\\xe9"),
            ("aś".encode(), "latin-1", b"a\\u015b"),  # its second byte is a control character there
        ],
        ids=["lines", "returns", "controls", "letters", "bytes", "latin-1", "ascii", "halves"],
    )
    @pytest.mark.parametrize("size", [1, 2, 99])
    def test_pieces(self, sent: bytes, encoding: str, told: bytes, size: int) -> None:
        """However a console sends it: what is told apart is whole, and the last piece is not lost."""
        escape = Escape(encoding)
        pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
        assert b"".join(map(escape, pieces)) + escape(b"", final=True) == told

    def test_uarts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each UART has its own state, and files get the bytes as they are."""
        monkeypatch.chdir(tmp_path)
        shown: list[bytes] = []
        with Uarts(["uart1=-", "uart1=raw"], ["uart0", "uart1"], shown.append, partial(Escape, "utf-8")) as uarts:
            for uart, data in (("uart0", b"\xc3"), ("uart1", b"\x1b\n"), ("uart0", b"\xa9\n"), ("uart1", b"\r")):
                uarts.write(uart, data)
        assert b"".join(shown) == "\\x1b\né\n\\r".encode()
        assert Path("raw").read_bytes() == b"\x1b\n\r"
