"""Where typer prints: help as the terminal can show it, and the file of a completion.

Help has no colours where none are wanted, and no tables where they do not fit.
"""

import io
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from typing import Any, Final

import typer
from typer.main import get_command

from cca_platform.printer import colourful
from cca_tools.cli.output import out

__all__ = ["call"]

_BOLD: Final = re.compile(r"\[/?bold\]")
_TABLES: Final = 60  # columns that the tables of options need
_WHOLE: Final = 90  # columns with which nothing in them is shortened
_SIZES: Final = ("COLUMNS", "LINES", "TERMINAL_WIDTH")  # typer and rich read them as numbers
_SIZE: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


def call(app: typer.Typer, argv: Sequence[str] | None) -> Any:
    """Call the command of ``app`` that ``argv`` names, and return what it returns."""
    words = sys.argv[1:] if argv is None else list(argv)
    command = _command(app, words)
    if "--install-completion" not in words:
        return command(words, prog_name="realmlab", standalone_mode=False)
    with ExitStack() as after:
        said = io.StringIO()
        after.callback(lambda: _show_completion(said.getvalue()))
        with redirect_stdout(said):
            return command(words, prog_name="realmlab", standalone_mode=False)


def _command(app: typer.Typer, words: list[str]) -> Any:
    """The command of ``app``, whose help is fit for stdout if that is what ``words`` ask for."""
    found = get_command(app)
    groups = [[one.name] for one in app.registered_groups]
    if "--help" in words or not words or words in groups:
        for name in _SIZES:
            if not _SIZE.fullmatch(os.environ.get(name, "")):
                os.environ.pop(name, None)
        from rich.console import Console
        from typer import rich_utils

        rich_utils.COLOR_SYSTEM = "auto" if colourful(sys.stdout) else None
        width = rich_utils.MAX_WIDTH or Console().width
        ellipsis = Console().encoding.startswith("utf")  # the mark for what is shortened
        if width < (_TABLES if ellipsis else _WHOLE):
            _narrow(found, max(width, 10))
    return found


def _show_completion(text: str) -> None:
    """Where the completion is, by a name that begins with HOME, and a last line."""
    where, _, last = text.rstrip("\n").rpartition("\n")
    for line in filter(None, (where, last)):
        out().line(line)


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
