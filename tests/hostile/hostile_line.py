"""Hostile command lines, made from the commands and options that there are, and files that are not what they seem."""

import random
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hostile_case import Case, Content, Device, Folder, Link, Sparse, ends, line
from hostile_elf import payload
from hostile_mutate import TEXTS
from tokens import good, seal
from typer.main import get_command

__all__ = ["Command", "Option", "commands", "line_case", "special_case"]


class Option(NamedTuple):
    """An option: its spellings, what its value is, and whether it has one."""

    flags: tuple[str, ...]
    wants: str
    flag: bool


class Command(NamedTuple):
    """A command: its words, its options, and what each argument is."""

    words: tuple[str, ...]
    options: tuple[Option, ...]
    arguments: tuple[str, ...]


def _found(command: Any, words: tuple[str, ...]) -> list[Command]:
    inner = [one for name, each in getattr(command, "commands", {}).items() for one in _found(each, (*words, name))]
    options, arguments = [Option(("--help",), "", True)], []
    for one in command.params:
        kind = one.type_descriptor.annotation
        wants = f"{one.metavar or ''} {one.name} {getattr(kind, '__name__', kind)}".lower()
        if one.param_type_name == "argument":
            arguments.append(wants)
        else:
            options.append(Option((*one.opts, *one.secondary_opts), wants, bool(getattr(one, "is_flag", False))))
    return [Command(words, tuple(options), tuple(arguments)), *inner]


@cache
def commands() -> tuple[Command, ...]:
    """Every command of the command line, groups among them, read from itself."""
    from cca_tools.cli.commands import app

    return tuple(_found(get_command(app), ()))


_OUTPUTS = ("--trace", "--uart", "--repair", "--nonvolatile")
_WRITING = (b"--save", b"--markdown", b"--picture")
_NUMBERS = (
    "0", "1", "2", "-1", "4", "64", "65", "1000", "65536", "99999999999999999999", "1.5", "1e3", "0x10", "0b1",
    "1_000", "nan",
    "inf", "-inf", "", " 1", "\u0661", "1,000", "1" * 5000,
)  # fmt: skip
_SIZES = (
    "64M",
    "1G",
    "4G",
    "3G",
    "0",
    "1",
    "4095",
    "64MiB",
    "64 M",
    "-1M",
    "1T",
    "99999999999G",
    "0x200000",
    "M",
    "2M",
    "\u0662M",
)
_PAYLOADS = (
    "hello", "hello.elf", "ns_rmi", "x.elf", "raw", "secure", "board", "irq", "nothing", "helo", "", "raw@0x90000000",
    "raw@",
    "@0x90000000", "raw@x", "hello@0x88000000", ".", "..", "/", "t.jsonl", "token",
)  # fmt: skip
_FILES = (
    "t.jsonl",
    "token",
    "x.elf",
    "raw",
    "b.toml",
    "p.json",
    "k.pem",
    "m.py",
    "-",
    "none",
    "none/x",
    ".",
    "",
    "/dev/null",
    "a" * 300,
)
_RANGES = (
    "0x90000000:64K",
    "0x90000000:64K=nv",
    "0:0",
    "x:y",
    ":",
    "0x90000000",
    "0x90000000:64K=",
    "-1:4096",
    "0xfc000000:4K",
    "1:1",
)
_OUT = ("out", "out", "out2", "-", "none/out", ".", "/dev/null", "/dev/full", "uart0=out", "1=out", "uart9=out", "=",
"=out", "x.elf",
        "", "a" * 300, "\u6f22", "token")  # fmt: skip
_WORDS = (
    "--",
    "-",
    "--nothing",
    "-x",
    "--help",
    "-h",
    "--version",
    "--json=1",
    "-q",
    "-qq",
    "--quiet=no",
    "--world",
    "run",
    "@file",
)
_BYTES = (b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80", b"\x1b[2J", b"a\nb", b"\xe2\x80\xae", b"\xc2\x9b31m")


def _files() -> dict[str, Content]:
    """The files of every command line."""
    record = b'{"seq":0,"time":0,"pe":0,"world":"realm","el":1,"event":"rmi.call","fid":"0xc4000151"}\n'
    return {
        "x.elf": payload("lost"), "raw": bytes(4096), "token": seal(good()), "t.jsonl": record,
        "b.toml": b'like = "fvp"\n',
        "p.json": b'{"rim": "00"}', "k.pem": b"-----BEGIN PUBLIC KEY-----\n", "m.py": b"DEVICES = {}\n",
    }  # fmt: skip


def _value(source: random.Random, wants: str) -> str | bytes:
    """A value that suits, or one that does not."""
    choice = source.random()
    if choice < 0.08:
        return source.choice(_BYTES)
    if choice < 0.22:
        return source.choice(TEXTS).replace("\0", "")
    pool: tuple[str, ...]
    if "base:size" in wants:
        pool = _RANGES
    elif "size" in wants:
        pool = _SIZES
    elif "payload" in wants or "image" in wants or "args" in wants:
        pool = _PAYLOADS
    elif "int" in wants or "float" in wants or wants.startswith("n "):
        pool = _NUMBERS
    elif "hex" in wants:
        pool = ("", "00", "0x00", "zz", "0", "ab" * 64, "ab" * 65, " 00 ")
    elif "board" in wants:
        pool = ("fvp", "virt", "b.toml", "none.toml", "fvp.toml", "", "../fvp", "x" * 300, "/", "/dev/null", "token")
    elif "regex" in wants:
        pool = ("0 wrong", "(", "[", "(a+)+$", ".*", "\\", "(?P<x>", "a{99999999}", "")
    elif "|" in wants.split(" ", 1)[0]:
        pool = (*wants.split(" ", 1)[0].split("|"), "none", "")
    elif "world" in wants:
        pool = ("realm", "ns-el2", "ns-el2", "secure", "NS-EL2", "")
    elif "address" in wants:
        pool = ("0x88000000", "0", "-1", "1 << 3", "0xfffffffffffffffff", "88000000", "0o7")
    else:
        pool = _FILES
    return source.choice(pool)


def _option(source: random.Random, option: Option) -> list[bytes]:
    flag = source.choice(option.flags)
    if option.flag:
        return [flag.encode()]
    output = any(name in option.flags for name in _OUTPUTS) and "base:size" not in option.wants
    value = source.choice(_OUT) if output else _value(source, option.wants)
    (encoded,) = line(value)
    form = source.random()
    if form < 0.05:
        return [flag.encode()]
    if form < 0.3:
        return [flag.encode() + b"=" + encoded]
    return [flag.encode(), encoded]


def _bounded(command: Command, words: list[bytes]) -> list[bytes]:
    """Keep what would take minutes short: a run has a limit, and nothing is measured."""
    if command.words == ("run",):
        return [*words, b"--max-insns", b"20000"]
    if command.words[-1:] == ("linux",):  # nothing is fetched
        return [*words, b"--max-insns", b"20000", b"--mirror", b"file:///none", b"--cache", b"out"]
    return [*words, b"--rows", b"no such row"] if command.words == ("bench",) else words


def line_case(source: random.Random, number: int) -> Case:
    """A command line of words that may fit."""
    every = commands()
    command = every[number % len(every)]
    words: list[bytes] = []
    turn = number // len(every)  # each option has its turn
    options = source.choices(command.options, k=source.choice((0, 0, 1, 1, 2, 4)))
    if options or turn < len(command.options):
        options.append(command.options[turn % len(command.options)])
    for option in options:
        words += _option(source, option)
    for wants in command.arguments[: source.choice((0, 1, 1, 1, 1, 2))]:
        words[(at := source.randrange(len(words) + 1)) : at] = line(_value(source, wants))
    if source.random() < 0.2:
        words.insert(source.randrange(len(words) + 1), source.choice(_WORDS).encode())
    if source.random() < 0.05:
        words = [source.choice(_BYTES), *words]
    argv = (*line(*command.words), *_bounded(command, words))
    # these two are about the shell that started the command, and the first writes to the home folder, as it says
    argv = tuple(word for word in argv if not word.startswith((b"--install-completion", b"--show-completion")))
    statuses, raw = ends(argv)
    files = _files()
    named = {"out", "out/", "out2", "nv"} | {one for word in argv for one in _paths(word) if one}
    # what is read is never written; an option that comes first and writes is no input
    kept = {one for word in argv[1:2] if not word.startswith(_WRITING) for one in _paths(word) if one in files}
    return Case("line", number, argv, files, statuses, outputs=frozenset(named - kept), raw=raw)


def _paths(word: bytes) -> tuple[str, str, str]:
    """The files that a word may name as an output: the word, or what follows its first or last equals sign."""
    text = word.decode(errors="surrogateescape")
    return text, text.partition("=")[2], text.rpartition("=")[2]


# -- special files ---------------------------------------------------------------------------------------------------
_HUGE = 20 << 30
_THINGS: tuple[tuple[str, Content], ...] = (
    ("x", Folder()), ("x", Link("x")), ("x", Link("nowhere")), ("x", Sparse(_HUGE)), ("x", Sparse(1 << 40)), ("x", b""),
    ("x", Sparse(_HUGE, b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\xb7\0\x01")), ("x", Sparse(600 << 20)),
    ("/dev/zero", Device()), ("/dev/urandom", Device()), ("/dev/full", Device()), ("/dev/null", Device()),
    ("/dev/stdin", Device()),
    ("/proc/self/mem", Device()), ("/proc/self/maps", Device()), ("/proc/self/fd", Device()), ("/etc/passwd/x",
    Device()),
    ("x/", b"a file"), ("x" * 240, b"\n"), ("x" * 256, Device()), ("/".join("x" * 200 for _ in range(30)), Device()),
    ("x\ty\x1b[2J", b"?"), ("\u202ex", b"?"), (" ", b"?"), ("x", Link("/dev/zero")), ("x", Link("/proc/self/environ")),
    ("x", Sparse(3 << 20, b'like = "fvp"\n' + b"# \n" * 1_000_000)), ("x", b"\n" * (40 << 20)),
)  # fmt: skip
_READERS: tuple[tuple[str, ...], ...] = (
    ("run", "{}"), ("run", "--world", "ns-el2", "{}"), ("run", "--world", "ns-el2", "{}@0x90000000"), ("inspect", "{}"),
    ("run", "--world", "ns-el2", "ns_rmi", "--secure", "{}"), ("run", "--world", "ns-el2", "ns_rmi", "--dtb", "{}"),
    ("run", "--world", "ns-el2", "ns_rmi", "--nonvolatile", "0x90000000:64K={}"), ("run", "hello", "--board",
    "{}.toml"),
    ("run", "uart", "--console-input", "{}"), ("run", "hello", "--device-module", "{}"), ("attest", "show", "{}"),
    ("attest", "verify", "{}"), ("attest", "verify", "token", "--policy", "{}"), ("attest", "verify", "token",
    "--cpak", "{}"),
    ("attest", "cpak", "--board", "{}.toml"), ("trace", "show", "{}"), ("trace", "show", "t.jsonl", "--symbols", "{}"),
    ("inspect", "{}", "--repair", "out"), ("attest", "verify", "token", "--policy", "{}.json"), ("attest", "show", "-"),
    ("trace", "show", "-"), ("attest", "verify", "token", "--policy", "{}.toml"),
)  # fmt: skip
_WRITERS: tuple[tuple[str, ...], ...] = (
    ("run", "hello", "--trace", "{}"), ("inspect", "hello", "--repair", "{}"),
    ("run", "--world", "ns-el2", "ns_rmi", "--uart", "{}"), ("run", "--world", "ns-el2", "ns_rmi", "--uart",
    "uart1={}"),
)  # fmt: skip
_ENDLESS = ("/dev/zero", "/dev/urandom")


def special_case(source: random.Random, number: int) -> Case:
    """A thing that is no ordinary file, where a file is read or written."""
    ways = (*_READERS, *_WRITERS)
    way = ways[number % len(ways)]
    name, content = _THINGS[(number // len(ways) + number) % len(_THINGS)]
    if way in (("trace", "show", "{}"),) and (name in _ENDLESS or content == Link("/dev/zero")):
        name, content = "x", Folder()  # a trace is read for as long as it comes
    suffix = Path(way[-1]).suffix if way[-1].startswith("{}.") else ""
    files: dict[str, Content] = _files()
    if not isinstance(content, Device):
        files[name.rstrip("/") + suffix] = content
    given = name
    if suffix and isinstance(content, Device) and len(name) < 256:
        files["x" + suffix], given = Link(name), "x"
    limit = ("--max-insns", "60000") if way[0] == "run" else ()
    argv = line(*(word.replace("{}", given) for word in way), *limit)
    statuses, raw = ends(argv)
    outputs = (
        {"out", "nowhere"}
        | ({"x", *files} if way in _WRITERS else set())
        | ({"x"} if "--nonvolatile" in way else set())
    )
    outputs |= {name, name.removeprefix("/dev/")} if way in _WRITERS and len(name) < 256 else set()
    stdin = source.choice((b"", b"x", bytes(3 << 20)))
    return Case("special", number, argv, files, statuses, outputs=frozenset(outputs), raw=raw, stdin=stdin)
