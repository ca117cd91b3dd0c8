"""Text of strangers is shown, not obeyed; and only what is styled has a look."""

import fcntl
import io
import json
import os
import pty
import struct
import sys
import termios
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import pytest

from cca_platform.errors import InternalError, MachineError
from cca_platform.printable import brief, json_text, printable, visible_json
from cca_platform.printer import Printer, Styled, colourful
from cca_platform.trace.sinks import JsonLines
from cca_platform.trace.trace import Record

ESCAPES = [
    ("\x1b[2J", "\\x1b[2J"),
    ("\x9b2J", "\\x9b2J"),
    ("\x7f\x00\x08", "\\x7f\\x00\\x08"),
    ("\r\n\t\v\f\x85", "\\r\\n\\t\\x0b\\x0c\\x85"),
    ("\u2028\u2029\xa0\u3000", "\\u2028\\u2029\\xa0\\u3000"),
    ("\u202e\u2066\u200f\u061c", "\\u202e\\u2066\\u200f\\u061c"),
    ("\u200b\ufeff\U000e0041\xad", "\\u200b\\ufeff\\U000e0041\\xad"),
    ("\u115f\u3164\ufe0f\U000e0100", "\\u115f\\u3164\\ufe0f\\U000e0100"),
    (os.fsdecode(b"\xff\x9b"), "\\xff\\x9b"),
    ("\ud800\ue000\u0378", "\\ud800\\ue000\\u0378"),
]
"""What is told apart, and how."""
IDS = ["C0", "C1", "DEL", "breaks", "separators", "bidi", "zero-width", "fillers", "bytes", "others"]


class Screen(NamedTuple):
    """A terminal of 30 columns: its end for programs, and what has come out of the other."""

    stream: TextIO
    shown: Callable[[], str]


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A terminal that knows colours, and an environment that says nothing of them."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    main, sub = pty.openpty()
    fcntl.ioctl(sub, termios.TIOCSWINSZ, struct.pack("4H", 24, 30, 0, 0))
    with open(sub, "w", encoding="utf-8") as stream:

        def shown() -> str:
            stream.write("\0")
            stream.flush()
            got = b""
            while not got.endswith(b"\0"):
                got += os.read(main, 4096)
            return got[:-1].decode().replace("\r\n", "\n")

        yield Screen(stream, shown)
    os.close(main)


class TestPrintable:
    @pytest.mark.parametrize(("text", "shown"), ESCAPES, ids=IDS)
    def test_escapes(self, text: str, shown: str) -> None:
        """What a terminal obeys, hides or reorders is an escape."""
        assert printable(f"a{text}b") == f"a{shown}b"

    def test_every_character(self) -> None:
        """All of Unicode: what is left is printed, has a category that shows, and is one line."""
        for code in range(sys.maxunicode + 1):
            shown = printable(chr(code))
            assert shown == chr(code) or (shown.isascii() and shown.startswith("\\"))
            if shown == chr(code):
                assert code == 0x20 or unicodedata.category(shown)[0] in "LMNPS", hex(code)

    @pytest.mark.parametrize("text", ["", "plain words", "[bold]", "é ß 日本 \U0001f600", "C:\\x1b"])
    def test_stays(self, text: str) -> None:
        """Letters, digits and signs of all languages stay as they are."""
        assert printable(text) == text

    @pytest.mark.parametrize(("text", "shown"), ESCAPES, ids=IDS)
    def test_json(self, text: str, shown: str) -> None:
        """JSON means what it meant, and nothing in it is obeyed."""
        plain = json_text({text: [text]})
        assert plain.isascii() and plain.replace("\n", "").isprintable() and json.loads(plain) == {text: [text]}
        line = visible_json(json.dumps([text], ensure_ascii=False))
        assert line.isprintable()
        surrogates = any(0xD800 <= ord(one) < 0xE000 for one in text)
        assert json.loads(line)[0] == text or surrogates

    def test_trace(self, tmp_path: Path) -> None:
        """A line of a trace has no character that a terminal obeys, and holds the same record."""
        path = tmp_path / "trace.jsonl"
        sink = JsonLines(path)
        texts = ["é", *(text for text, _ in ESCAPES)]
        for text in texts:
            sink.write(Record({text: text}))
        sink.close()
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        assert len(lines) == len(texts) and lines[0] == '{"é":"é"}'
        assert all(line == printable(line) for line in lines)
        assert [json.loads(line) for line in lines[:9]] == [{text: text} for text in texts[:9]]
        assert json.loads(lines[9]) == {"\\xff\\x9b": "\\xff\\x9b"}  # JSON has no bytes


class TestErrors:
    def test_messages(self) -> None:
        """An error says in one line what went wrong, whatever it quotes; so does its traceback."""
        assert str(MachineError("no file a\x1b\n\u202e")) == "no file a\\x1b\\n\\u202e"
        assert "\\x1b" in str(InternalError("\x1b", b""))


class TestPrinter:
    def test_line(self) -> None:
        """A line is one line; styles are for terminals, and markup is text."""
        stream = io.StringIO()
        Printer(stream).line("a\nb", Styled("[red]\x1b[31m", "bold"))
        Printer(stream, colour=True).line("a", Styled("\x1b", "bold red"), Styled("", "dim"))
        assert stream.getvalue() == "a\\nb[red]\\x1b[31m\na\x1b[1;31m\\x1b\x1b[0m\n"

    def test_text(self) -> None:
        """Text of ours has its lines."""
        stream = io.StringIO()
        Printer(stream).text("a\nb\n")
        assert stream.getvalue() == "a\nb\n"

    def test_rows(self) -> None:
        """Columns are in line, also those of wide and of combined characters; a pipe has no edge."""
        stream = io.StringIO()
        Printer(stream).rows([("a", "日本", "x" * 99), ("e\u0301bc", "\x1b", "y  y")])
        assert stream.getvalue() == f"a    日本  {'x' * 99}\ne\u0301bc  \\x1b  y  y\n"
        Printer(stream).rows([])

    def test_wide(self) -> None:
        """A cell that is very wide does not push the others aside."""
        stream = io.StringIO()
        Printer(stream).rows([("a", "b"), ("x" * 1000, "c"), ("de", Styled("f", "bold"))])
        assert stream.getvalue() == f"a   b\n{'x' * 1000}  c\nde  f\n"

    @pytest.mark.parametrize(
        ("columns", "shown"),
        [
            ("", ["label  0123456789 0123456789", "       0123456789", "       " + "w" * 23, "       " + "w" * 7]),
            ("20", ["label", *["  0123456789"] * 3, "  " + "w" * 18, "  " + "w" * 12]),
            ("1", ["  label", *["  0123456789"] * 3, "  " + "w" * 16, "  " + "w" * 14]),
            ("99", ["label  0123456789 0123456789 0123456789 " + "w" * 30]),
            ("nonsense", ["label  0123456789 0123456789", "       0123456789", " " * 7 + "w" * 23, " " * 7 + "w" * 7]),
        ],
    )  # fmt: skip
    def test_edge(self, columns: str, shown: list[str], tty: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
        """A terminal's edge, or that of COLUMNS, folds the last column at spaces; a narrow one has it below."""
        monkeypatch.setenv("COLUMNS", columns)
        Printer(tty.stream).rows([("label", "0123456789 0123456789 0123456789 " + "w" * 30)])
        assert tty.shown().splitlines() == shown

    @pytest.mark.parametrize(
        ("given", "terminal", "pipe"),
        [
            ({}, True, False),
            ({"NO_COLOR": "1"}, False, False),
            ({"NO_COLOR": ""}, True, False),
            ({"TERM": "dumb"}, False, False),
            ({"TERM": ""}, False, False),
            ({"FORCE_COLOR": "1"}, True, True),
            ({"FORCE_COLOR": "0"}, True, False),
            ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ],
        ids=["nothing", "NO_COLOR", "empty", "dumb", "no TERM", "FORCE_COLOR", "zero", "both"],
    )
    def test_colour(
        self, given: dict[str, str], terminal: bool, pipe: bool, tty: Screen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Colours are for terminals; NO_COLOR has the last word."""
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert (colourful(tty.stream), colourful(io.StringIO())) == (terminal, pipe)
        Printer(tty.stream).line(Styled("x", "cyan"))
        assert ("\x1b[36mx\x1b[0m" in tty.shown()) == terminal


class TestBrief:
    @pytest.mark.parametrize(
        "value", ["x" * 20_000, b"\x1b" * 20_000, ["\u202e" * 500] * 500, {1: {2: [3] * 99}}, 10**4000, [10**5000]]
    )
    def test_short(self, value: object) -> None:
        """Whatever somebody gives, what a message says of it is short and printable."""
        assert len(brief(value)) < 1000 and brief(value) == printable(brief(value))

    @pytest.mark.parametrize("value", ["64M", 7, ["a"], None, b"x", {"a": 1}])
    def test_same(self, value: object) -> None:
        """Short values are as Python shows them."""
        assert brief(value) == repr(value)


class TestLong:
    @pytest.mark.parametrize("text", ["é" * 200_000, "日 " * 100_000, "\u0301" * 100_000, " " * 100_000])
    def test_folds_at_once(self, text: str, tty: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
        """Folding takes time by the length of a text, whatever is in it, and loses nothing but spaces."""
        written: list[str] = []
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setattr(stream, "write", written.append)
        Printer(stream).rows([("label", text)])
        assert "".join(written).replace("\n", "").replace(" ", "") == "label" + text.replace(" ", "")
        assert all(len(line.rstrip("\n")) <= 80 for line in written) or "\u0301" in text

    def test_wide_label(self, tty: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
        """A label that is wider than the terminal is folded as well: nothing of it begins a line."""
        monkeypatch.setenv("COLUMNS", "20")
        Printer(tty.stream).rows([("a" * 17 + " bbb ccc", "d")])
        assert tty.shown().splitlines() == ["a" * 17, "  bbb ccc  d"]

    def test_status(self, tty: Screen) -> None:
        """A line that goes away keeps to its line."""
        Printer(tty.stream).status("\x1b" + "x" * 99)
        Printer(tty.stream).status("")
        assert tty.shown() == "\r\x1b[K\\x1b" + "x" * 25 + "\r\x1b[K"
