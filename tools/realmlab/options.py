"""What a user can ask of a machine and of a run, declared once: the API and the command line are both made from this.

A table is a ``TypedDict`` whose items carry an :class:`Option`. A function takes it as ``**options: Unpack[TABLE]``
and is decorated with :func:`takes`, which gives it a signature with the defaults; :func:`read` checks what was given.
A message names a parameter between backquotes; the command line puts its own spelling there (:func:`spelled`).
"""

import difflib
import inspect
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, TypedDict, TypeVar

from cca_platform.errors import MachineError

from .sizes import parse_address, parse_range, parse_size

if TYPE_CHECKING:
    from cca_platform.devices.kinds import Factory
    from cca_platform.trace.trace import Trace

__all__ = [
    "BOARD",
    "MachineOptions",
    "NsMachineOptions",
    "NsRunOptions",
    "Option",
    "RealmOptions",
    "RealmRunOptions",
    "RunOptions",
    "declared",
    "payload_completion",
    "read",
    "spelled",
    "takes",
]

_PARAMETER: Final = re.compile(r"`(\w+)`")
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: its default, what it means, and how the command line spells it.

    ``check(name, value)`` gives the value to use, or raises MachineError. ``flags`` are the spellings, ``--name``
    unless given; ``constants`` are flags that stand for one value. ``kind`` is what the command line makes of the
    text, a list of it with ``many``; ``positional`` is an argument without a flag. ``python_only`` says why the command
    line has no such option.
    """

    default: Any
    help: str
    metavar: str = ""
    check: Callable[[str, Any], Any] | None = None
    choices: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    constants: Mapping[str, tuple[Any, str]] | None = None
    kind: type = str
    many: bool = False
    positional: bool = False
    python_only: str = ""
    complete: Callable[[str], list[str]] | None = None

    def spelling(self, name: str) -> str:
        """The option of the command line that parameter ``name`` is; the parameter itself where there is none."""
        if self.python_only or self.positional:
            return name
        return self.flags[0] if self.flags else f"--{name.replace('_', '-')}"


# -- checks ---------------------------------------------------------------------------------------------------------
def _at_least(least: int, most: int | None = None) -> Callable[[str, Any], int]:
    """A whole number from ``least`` to ``most``."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise MachineError(f"`{name}` must be a whole number, not {value!r}")
        if value < least:
            raise MachineError(f"`{name}` must be {least} or more, not {value}")
        if most is not None and value > most:
            raise MachineError(f"`{name}` must be {most} or less, not {value}")
        return value

    return check


def _optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


def _one_of(*values: Any) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if value not in values:
            raise MachineError(f"`{name}` must be {' or '.join(map(str, values))}, not {value!r}")
        return values[values.index(value)]

    return check


def _size(name: str, value: Any) -> int:
    return parse_size(value)


def _address(name: str, value: Any) -> int:
    return value if isinstance(value, int) else parse_address(value, "the entry")


def _ranges(name: str, value: Any) -> list[tuple[int, int]]:
    return [parse_range(one) if isinstance(one, str) else (one[0], one[1]) for one in value]


def _several(name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, str | bytes):
        raise MachineError(f"`{name}` must be a list, not {value!r}")
    return tuple(value)


def _paths(name: str, value: Any) -> tuple[Path, ...]:
    several = (value,) if isinstance(value, str | os.PathLike) else value
    return tuple(Path(one) for one in several)


def _hex(name: str, value: Any) -> bytes:
    if not isinstance(value, str):
        return bytes(value)
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise MachineError(f"`{name}` must be hex digits, two for each byte, not {value!r}") from None


def _bytes_or_file(name: str, value: Any) -> bytes:
    if not isinstance(value, os.PathLike):
        return bytes(value)
    path = Path(value)
    try:
        return path.read_bytes()
    except OSError as error:
        raise MachineError(f"`{name}` must name a readable file, not {str(path)!r} ({error.strerror})") from None


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    patterns: tuple[str, ...] = _several(name, value)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise MachineError(f"`{name}` must be a regular expression, not {pattern!r}: {error}") from None
    return patterns


def _text(name: str, value: Any) -> Any:
    if value == "":
        raise MachineError(f"`{name}` must be a text to wait for, not an empty one")
    return value


# -- completions ----------------------------------------------------------------------------------------------------
def _boards(incomplete: str) -> list[str]:
    from cca_platform.machine.board import names

    return [name for name in names() if name.startswith(incomplete)]


def payload_completion(incomplete: str) -> list[str]:
    """The names of payloads that begin so."""
    from .payloads import payload_names

    return [name for name in payload_names() if name.startswith(incomplete)]


# -- the tables -----------------------------------------------------------------------------------------------------
BOARD: Final = Option(
    default="fvp", help="The board: fvp, virt, or a board's TOML file.", metavar="NAME|FILE", complete=_boards
)
"""The board of every machine, which is its first argument."""

_CLOCKS: Final = ("virtual", "host")
_HASHES: Final = ("sha256", "sha512")


class MachineOptions(TypedDict, total=False):
    """What every machine takes, beside its board."""

    trace: Annotated[
        "str | os.PathLike[str] | Trace | None",
        Option(default=None, help="Write every event to this file, as JSON Lines; -: show them.", metavar="FILE"),
    ]
    clock: Annotated[
        str,
        Option(
            default="virtual",
            help="Time of the machine: retired instructions (repeatable), or the host's.",
            check=_one_of(*_CLOCKS),
            choices=_CLOCKS,
        ),
    ]
    device_modules: Annotated[
        Iterable[str | os.PathLike[str]],
        Option(
            default=(),
            help="Run this Python file, whose DEVICES are kinds of devices that the board may name.",
            metavar="FILE",
            flags=("--device-module",),
            many=True,
            check=_paths,
        ),
    ]
    devices: Annotated[
        "Mapping[str, Factory]",
        Option(
            default=MappingProxyType({}),
            help="Kinds of devices that the board may name, each with its class.",
            python_only="the command has files of them: --device-module",
        ),
    ]


class RunOptions(TypedDict, total=False):
    """What every run takes."""

    max_insns: Annotated[
        int | None,
        Option(
            default=None,
            help="End the run (exit status 4) after so many instructions.",
            metavar="N",
            flags=("--max-insns", "--timeout-insns"),
            kind=int,
            check=_optional(_at_least(1)),
        ),
    ]


class RealmRunOptions(RunOptions, total=False):
    """What a run of a live Realm takes."""

    until: Annotated[
        str | None,
        Option(
            default=None,
            help="Pause when the console shows this.",
            check=_text,
            python_only="the command runs a Realm to its end",
        ),
    ]


class RealmOptions(RunOptions, total=False):
    """What a Realm takes."""

    vcpus: Annotated[int, Option(default=1, help="Number of vCPUs (RECs).", metavar="N", kind=int)]
    memory: Annotated[
        str | int, Option(default="64M", help="RAM of the Realm: 64M, 1G ...", metavar="SIZE", check=_size)
    ]
    args: Annotated[
        Sequence[str],
        Option(
            default=(),
            help="The Realm's boot arguments.",
            metavar="[-- ARGS...]",
            check=_several,
            many=True,
            positional=True,
        ),
    ]
    hash_algo: Annotated[
        str,
        Option(default="sha256", help="Measure the Realm with this.", check=_one_of(*_HASHES), choices=_HASHES),
    ]
    rpv: Annotated[
        bytes | str,
        Option(default=b"", help="Realm Personalization Value, at most 64 bytes, in hex.", metavar="HEX", check=_hex),
    ]
    ipa_width: Annotated[
        int,
        Option(
            default=33,
            help="Bits of the Realm's IPA space; its upper half is unprotected.",
            metavar="BITS",
            kind=int,
        ),
    ]
    deny_cpu_on: Annotated[
        Collection[int],
        Option(
            default=(),
            help="Do not let the Realm turn on this vCPU: PSCI CPU_ON gives DENIED.",
            metavar="N",
            kind=int,
            many=True,
            check=_several,
        ),
    ]
    console_input: Annotated[
        bytes | os.PathLike[str],
        Option(
            default=b"",
            help="The Realm's UART receives what is in this file.",
            metavar="FILE",
            kind=Path,
            check=_bytes_or_file,
        ),
    ]
    on_console: Annotated[
        Callable[[bytes], object] | None,
        Option(
            default=None,
            help="Gets the Realm's output as it comes.",
            python_only="the command sends the output to stdout",
        ),
    ]


class NsMachineOptions(MachineOptions, total=False):
    """What a machine with Non-secure images takes."""

    el: Annotated[
        int, Option(default=2, help="Enter the images at this level.", metavar="1|2", kind=int, check=_one_of(1, 2))
    ]
    entry: Annotated[
        int | str | None,
        Option(
            default=None,
            help="Start here, not where the first ELF file (else the first raw image) says.",
            metavar="ADDRESS",
            check=_optional(_address),
        ),
    ]
    secure: Annotated[
        str | os.PathLike[str] | None,
        Option(default=None, help="Run this at Secure EL1.", metavar="IMAGE", complete=payload_completion),
    ]
    nonvolatile: Annotated[
        Iterable[tuple[int, int] | str],
        Option(default=(), help="DRAM that a system reset keeps.", metavar="BASE:SIZE", many=True, check=_ranges),
    ]


class NsRunOptions(RunOptions, total=False):
    """What a run of Non-secure images takes."""

    until: Annotated[
        str | None,
        Option(default=None, help="Stop, with status 0, when a console shows this.", metavar="TEXT", check=_text),
    ]
    expect: Annotated[
        Sequence[str],
        Option(
            default=(),
            help="A console line has to match, or the status is 1.",
            metavar="REGEX",
            many=True,
            check=_patterns,
        ),
    ]
    reject: Annotated[
        Sequence[str],
        Option(
            default=(),
            help="Stop, with status 1, when a console line matches.",
            metavar="REGEX",
            many=True,
            check=_patterns,
        ),
    ]
    max_resets: Annotated[
        int,
        Option(
            default=16,
            help="End the run (exit status 4) at one reset more.",
            metavar="N",
            kind=int,
            check=_at_least(0),
            constants={"--no-reset": (0, "A system reset ends the run.")},
        ),
    ]
    on_output: Annotated[
        Callable[[str, bytes], object] | None,
        Option(
            default=None,
            help="Gets the name of a UART and what it sends, as it comes.",
            python_only="the command sends the first UART to stdout, and --uart any to a file",
        ),
    ]


# -- what is made from them -----------------------------------------------------------------------------------------
@cache
def declared(table: type) -> Mapping[str, Option]:
    """The options of a table by name, in order."""
    return {name: kind.__metadata__[0] for name, kind in inspect.get_annotations(table).items()}


def read(table: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of ``table``, as given or by default, checked.

    TypeError for a name that is not in the table, as for any call; MachineError for a value that cannot be.
    """
    options = declared(table)
    for name in given:
        if name not in options:
            near = difflib.get_close_matches(name, options, 1)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"an option must be one of {', '.join(options)}, not {name!r}{guess}")
    values = {}
    for name, option in options.items():
        value = given.get(name, option.default)
        values[name] = option.check(name, value) if option.check is not None else value
    return values


def takes(table: type) -> Callable[[_Function], _Function]:
    """Give a function with ``**options: Unpack[table]`` the signature that this stands for.

    Its docstring gets the options, too.
    """

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        kinds = inspect.get_annotations(table)
        named = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=kinds[name].__origin__
            )
            for name, option in declared(table).items()
        ]
        function.__signature__ = signature.replace(parameters=[*own, *named])  # type: ignore[attr-defined]
        lines = (f"- ``{name}``: {option.help}" for name, option in declared(table).items())
        function.__doc__ = f"{inspect.getdoc(function)}\n\nOptions:\n\n" + "\n".join(lines)
        return function

    return decorate


_TABLES: Final = (MachineOptions, RealmOptions, NsMachineOptions, NsRunOptions)


def spelled(message: str) -> str:
    """A message with every parameter between backquotes as the command line spells it."""
    known = {"board": BOARD} | {name: option for table in _TABLES for name, option in declared(table).items()}

    def spell(match: re.Match[str]) -> str:
        name = match[1]
        return known[name].spelling(name) if name in known else match[0]

    return _PARAMETER.sub(spell, message)
