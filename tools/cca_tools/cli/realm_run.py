"""``realmlab run`` of a payload in a Realm."""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from cca_arch.extensions import SEALING
from cca_host.kvmtool.build import check_alone
from cca_host.kvmtool.options import RunOptions
from cca_tools.cli.consoles import Escape
from cca_tools.cli.keyboard import Stdin
from cca_tools.cli.summary import Outcome, counts, lacking, seconds, select
from realmlab.machine import Machine
from realmlab.options import MachineOptions, RealmJobOptions, RealmOptions, declared, read

if TYPE_CHECKING:
    from cca_host.kvmtool.options import RunResult
    from cca_tools.cli.guests import Guest

__all__ = ["require_options", "rows", "run_in_realm"]

_TEST_KEY: Final = "from the published test key, no secret: --platform-key FILE gives the platform a key of its own"


def require_options(options: Mapping[str, Any]) -> None:
    """Check the options of a Realm on the ``board`` among them; raises MachineError if they cannot be met."""
    early = {name: value for name, value in options.items() if name != "console_input"}  # it may be a pipe
    read(MachineOptions, select(early, *declared(MachineOptions)))
    given = read(RealmJobOptions, select(early, *declared(RealmJobOptions)))
    check_alone(RunOptions(payload="", **select(given, *declared(RealmOptions))), options["board"])


def run_in_realm(
    payload: str,
    options: Mapping[str, Any],
    tell: Callable[[bytes], object] | None,
    escape: Callable[[], Escape] | None = None,
    guest: "Guest | None" = None,
) -> Outcome:
    """Run ``payload`` with the options of ``Machine`` and of its Realm.

    ``tell`` gets its output as it is sent, or what ``escape`` makes of it; a ``guest`` takes its reports out of it.
    Its input comes from stdin, unless it is among the options.
    """
    with (
        _escaped(tell, escape) as shown,
        _reported(shown, guest) as told,
        Stdin(held=guest is not None) as stdin,
        Machine(**select(options, "board", *declared(MachineOptions))) as booted,
    ):
        gc.freeze()
        gc.enable()
        if guest is not None:
            guest.begins = stdin.release
        keyboard = None if "console_input" in options else stdin
        given = select(options, *declared(RealmJobOptions))
        result = booted.run_realm(payload, on_console=told, keyboard=keyboard, **given)
    told_rows, facts = rows(payload, result), _facts(payload, result)
    if SEALING in booted.extensions:
        told_rows.append(("sealing keys", _TEST_KEY if booted.has_test_key else "from the key of `--platform-key`"))
        facts["test_key"] = booted.has_test_key
    outcome = Outcome(result.status, result.message, told_rows, facts, result.failure)
    return outcome if guest is None else guest.ended(outcome)


@contextmanager
def _reported(
    tell: Callable[[bytes], object] | None, guest: "Guest | None"
) -> Iterator[Callable[[bytes], object] | None]:
    if guest is None:
        yield tell
        return
    shown = tell or (lambda data: None)
    try:
        yield guest.heard(shown)
    finally:
        guest.finish(shown)


@contextmanager
def _escaped(
    tell: Callable[[bytes], object] | None, escape: Callable[[], Escape] | None
) -> Iterator[Callable[[bytes], object] | None]:
    if tell is None or escape is None:
        yield tell
        return
    shown = escape()
    try:
        yield lambda data: tell(shown(data))
    finally:
        tell(shown(b"", final=True))


def rows(payload: str, result: "RunResult") -> list[tuple[str, str]]:
    """The summary as (label, text)."""
    time = [
        *lacking(result.lacks, result.message),
        ("guest", f"{result.instructions:,} instructions in {seconds(result.virtual_seconds)} of its own time"),
        (
            "time",
            f"{seconds(result.wall_seconds)}: build {seconds(result.build_seconds)}, "
            f"run {seconds(result.run_seconds)}, destroy {seconds(result.destroy_seconds)}",
        ),
    ]
    ended = ("payload", f"{payload}: exit status {result.status} ({result.reason.replace('_', ' ')})")
    if not result.realm:
        return [ended, ("exits", f"{sum(result.exits.values()):,}: {counts(result.exits)}"), *time]
    left = "all back with the host, scrubbed"
    if result.granules_left or result.granules_dirty:
        left = f"{result.granules_left:,} never came back, {result.granules_dirty:,} came back unscrubbed"
    return [
        ended,
        ("RMI calls", f"{sum(result.calls.values()):,}: {counts(result.calls, 'RMI_')}"),
        ("REC exits", f"{sum(result.exits.values()):,}: {counts(result.exits)}"),
        ("world switches", f"{result.world_switches:,}"),
        ("granules", f"{result.granules_peak:,} delegated at the most; {left}"),
        *time,
    ]


def _facts(payload: str, result: "RunResult") -> dict[str, Any]:
    """The summary and the Realm's output, as plain data."""
    return {
        "payload": payload,
        "realm": result.realm,
        "status": result.status,
        "reason": result.reason,
        "message": result.message,
        "failure": None if result.failure is None else result.failure.plain(),
        "console": result.console.decode(errors="replace"),
        "console_dropped": result.console_dropped,
        "calls": dict(result.calls),
        "exits": dict(result.exits),
        "world_switches": result.world_switches,
        "lacks": result.lacks,
        "granules": {
            "peak": result.granules_peak,
            "left": result.granules_left,
            "dirty": result.granules_dirty,
        },
        "instructions": result.instructions,
        "ticks": result.ticks,
        "seconds": {
            "build": result.build_seconds,
            "run": result.run_seconds,
            "destroy": result.destroy_seconds,
        },
    }
