"""Render a token: in colour on a terminal, or as plain data for JSON.

What a token says comes from others: text is shown without control characters, and what no table knows, or what is not
of the type that it must be, in the diagnostic notation of CBOR.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TextIO

from cca_platform.printer import Piece, Printer, Styled
from realmlab.attest.cbor import diagnostic
from realmlab.attest.look import Look
from realmlab.attest.token import Claims, lifecycle_name
from realmlab.attest.verify import Report, Result

__all__ = ["look_data", "plain", "report_data", "show_look", "show_report"]

_COLOURS: Final = {Result.PASSED: "green", Result.FAILED: "bold red", Result.SKIPPED: "dim"}
_WIDTH: Final = 64  # hex digits in a line


def plain(value: Any) -> Any:
    """Claims as plain data: bytes in hex; unknown claims, and values of another type, in diagnostic notation."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Claims):
        named: dict[str, Any] = {
            name: diagnostic(item) if name in value.odd and not isinstance(item, list) else plain(item)
            for name, item in value.items()
        }
        unknown = {diagnostic(key): diagnostic(item) for key, item in value.unknown.items()}
        return named | ({"unknown": unknown} if unknown else {})
    if isinstance(value, list):
        return [plain(item) if isinstance(item, bytes | Claims) else diagnostic(item) for item in value]
    return value


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


def look_data(found: Look) -> dict[str, Any]:
    """The claims of both halves as plain data, and what is odd."""
    return {"platform": plain(found.platform), "realm": plain(found.realm), "odd": found.odd}


def _digits(value: bytes) -> Iterator[str]:
    digits = value.hex()
    if value and not any(value):
        digits = f"00 x {len(value)}"
    for at in range(0, max(len(digits), 1), _WIDTH):
        yield digits[at : at + _WIDTH]


def _lines(value: Any, name: str, odd: bool) -> Iterator[str]:
    """A value: as it is meant if it is what it must be."""
    if odd or not isinstance(value, bytes | str | int):
        yield diagnostic(value)
    elif isinstance(value, bytes):
        yield from _digits(value)
    elif name == "lifecycle" and isinstance(value, int):
        yield f"{lifecycle_name(value)} ({value:#06x})"
    else:
        yield str(value)


def _component(item: Claims, number: int) -> Iterator[tuple[str, str]]:
    label, version = (
        next(_lines(item.get(name, other), name, name in item.odd))
        for name, other in (("type", str(number)), ("version", ""))
    )
    yield f"component {label}", version
    yield from (("  " + inner, line) for inner, line in _rows(item, without=("type", "version")))


def _rows(claims: Claims, without: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """(name, line) pairs; only the first line of a value has the name."""
    for name, value in claims.items():
        label = name.replace("_", " ")
        if name in without:
            continue
        if not isinstance(value, list):
            yield from _labelled(label, _lines(value, name, name in claims.odd))
            continue
        for number, item in enumerate(value, 1):
            if isinstance(item, Claims):
                yield from _component(item, number)
            else:
                lines = _lines(item, name, not isinstance(item, bytes))
                yield from _labelled(f"{label.removesuffix('s')} {number}", lines)
    for key, value in claims.unknown.items():
        yield f"unknown {diagnostic(key)}", diagnostic(value)


def _labelled(label: str, lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines):
        yield (label if number == 0 else ""), line


def _print(page: Printer, title: str, rows: Iterable[Sequence[Piece]]) -> None:
    """Print a title, and rows in columns."""
    page.line(Styled(title, "bold"))
    page.rows(rows)


def _show_claims(halves: Mapping[str, Claims | None], page: Printer) -> None:
    """Print the claims of each half that is present."""
    for title, claims in halves.items():
        if claims is not None:
            _print(page, f"{title} token", ((Styled(label, "cyan"), line) for label, line in _rows(claims)))


def show_look(found: Look, stream: TextIO) -> None:
    """Print the claims, and what is odd."""
    page = Printer(stream)
    _show_claims({"Platform": found.platform, "Realm": found.realm}, page)
    if found.odd:
        _print(page, "Odd", ((Styled(text, "yellow"),) for text in found.odd))


def show_report(report: Report, stream: TextIO) -> None:
    """Print the claims, each step, and the verdict."""
    page = Printer(stream)
    _show_claims({"Platform": report.platform, "Realm": report.realm}, page)
    _print(
        page,
        "Verification",
        ((step, Styled(result, _COLOURS[result]), detail) for step, result, detail in report.outcomes),
    )
    failure = report.failure
    verdict = "verified" if failure is None else f"NOT VERIFIED: {failure.step}: {failure.detail}"
    _print(page, "Verdict", [(Styled(verdict, _COLOURS[Result.PASSED if failure is None else Result.FAILED]),)])
