"""Render a token: in colour on a terminal, or as plain data for JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TextIO

from realmlab.attest.token import lifecycle_name
from realmlab.attest.verify import Report, Result

__all__ = ["plain", "report_data", "show_claims", "show_report"]

_COLOURS: Final = {Result.PASSED: "green", Result.FAILED: "bold red", Result.SKIPPED: "dim"}
_WIDTH: Final = 64  # hex digits in a line


def plain(value: Any) -> Any:
    """``value`` with bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, type(None))) else str(value)


def report_data(report: Report) -> dict[str, Any]:
    """A report as plain data. ``reason`` is the first step that failed, or null."""
    failure = report.failure
    return {
        "verified": report.verified,
        "reason": None if failure is None else failure.step,
        "message": None if failure is None else failure.detail,
        "layout": report.layout,
        "steps": [{"step": step, "result": result, "detail": detail} for step, result, detail in report.outcomes],
        "platform": plain(report.platform),
        "realm": plain(report.realm),
    }


def _lines(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, bytes):
        digits = value.hex()
        if value and not any(value):
            digits = f"00 x {len(value)}"
        for at in range(0, max(len(digits), 1), _WIDTH):
            yield digits[at : at + _WIDTH]
    elif name == "lifecycle":
        yield f"{lifecycle_name(value)} ({value:#06x})"
    else:
        yield str(plain(value))


def _rows(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, line) pairs; only the first line of a value has the name."""
    for name, value in claims.items():
        label = name.replace("_", " ")
        if isinstance(value, list):
            for number, item in enumerate(value, 1):
                if isinstance(item, Mapping):
                    yield f"component {item.get('type', number)}", str(item.get("version", ""))
                    yield from (("  " + inner, line) for inner, line in _rows(_rest(item)))
                else:
                    yield from _labelled(f"{label.removesuffix('s')} {number}", item)
        else:
            yield from _labelled(label, value)


def _rest(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("type", "version")}


def _labelled(label: str, value: Any) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_lines(value, label)):
        yield (label if number == 0 else ""), line


def _print(stream: TextIO, title: str, rows: Sequence[Sequence[tuple[str, str]]]) -> None:
    """Print a title and rows of (text, style) in columns, without truncating on narrow terminals."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, soft_wrap=True)
    widths = [max(len(row[column][0]) for row in rows) for column in range(len(rows[0]))]
    console.print(Text(title, style="bold"))
    for row in rows:
        cells = [(text.ljust(width), style) for (text, style), width in zip(row[:-1], widths, strict=False)]
        console.print(Text("  ").join(Text(text, style=style) for text, style in (*cells, row[-1])))


def show_claims(halves: Mapping[str, Mapping[str, Any] | None], stream: TextIO) -> None:
    """Print the claims of each half that is present."""
    for title, claims in halves.items():
        if claims is not None:
            _print(stream, f"{title} token", [((label, "cyan"), (line, "")) for label, line in _rows(claims)])


def show_report(report: Report, stream: TextIO) -> None:
    """Print the claims, each step, and the verdict."""
    show_claims({"Platform": report.platform, "Realm": report.realm}, stream)
    _print(
        stream,
        "Verification",
        [((step, ""), (result, _COLOURS[result]), (detail, "")) for step, result, detail in report.outcomes],
    )
    failure = report.failure
    verdict = "verified" if failure is None else f"NOT VERIFIED: {failure.step}: {failure.detail}"
    _print(stream, "Verdict", [((verdict, _COLOURS[Result.PASSED if failure is None else Result.FAILED]),)])
