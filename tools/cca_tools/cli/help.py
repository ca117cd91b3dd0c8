"""Help as the terminal can show it: without colours where none are wanted, without tables where they do not fit."""

import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

import typer
from typer.main import get_command

from cca_platform.printer import colourful

__all__ = ["command"]

_BOLD: Final = re.compile(r"\[/?bold\]")
_TABLES: Final = 60  # columns that the tables of options need
_WHOLE: Final = 90  # columns with which nothing in them is shortened
_WIDTH: Final = "TERMINAL_WIDTH"  # typer reads it as a number


def command(app: typer.Typer, argv: Sequence[str] | None) -> Any:
    """The command of ``app``, whose help is fit for stdout if that is what ``argv`` asks for."""
    found = get_command(app)
    words = sys.argv[1:] if argv is None else argv
    groups = [[one.name] for one in app.registered_groups]
    if "--help" in words or not words or list(words) in groups:
        if not os.environ.get(_WIDTH, "").isdecimal():
            os.environ.pop(_WIDTH, None)
        from rich.console import Console
        from typer import rich_utils

        rich_utils.COLOR_SYSTEM = "auto" if colourful(sys.stdout) else None
        width = rich_utils.MAX_WIDTH or Console().width
        ellipsis = Console().encoding.startswith("utf")  # the mark for what is shortened
        if width < (_TABLES if ellipsis else _WHOLE):
            _narrow(found, max(width, 10))
    return found


def _narrow(one: Any, width: int) -> None:
    """Give a command and those below it help in paragraphs."""
    one.format_help = lambda context, formatter: formatter.write("\n".join(_paragraphs(one, context, width)))
    for other in getattr(one, "commands", {}).values():
        _narrow(other, width)


def _paragraphs(one: Any, context: Any, width: int) -> Iterator[str]:
    yield from _wrapped(f"Usage: {context.command_path} {' '.join(one.collect_usage_pieces(context))}", width)
    for paragraph in (one.help or "").split("\n\n"):
        yield from ("", *_wrapped(paragraph, width))
    records = [record for param in one.get_params(context) if (record := param.get_help_record(context))]
    records += [(name, other.help or "") for name, other in getattr(one, "commands", {}).items()]
    for name, meaning in records:
        yield from ("", name, *_wrapped(meaning.partition("\n\n")[0], width, "  "))


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    plain = " ".join(_BOLD.sub("", text).split())
    return textwrap.wrap(plain, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False) or [""]
