"""Limits of wall time: a run that takes too long, or that has nothing to say, ends as one that reached a limit."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from ns_code import FOREVER, OFF, UART0, assemble, constant, say

import realmlab
from cca_tools.cli import main
from realmlab import NsImage, NsMachine

SLOWLY = f"{constant('x3', 100_000)} wait: subs x3, x3, #1; b.ne wait;"
CHATTER = f"{constant('x2', UART0)} mov w1, #46; again: str w1, [x2]; {SLOWLY} b again;"
"""Sends a character now and then."""


def ns(source: str, **options: Any) -> Any:
    """Run code at Non-secure EL2."""
    with NsMachine(NsImage(assemble(source))) as machine:
        return machine.run(**options)


def realm(payload: str, **options: Any) -> Any:
    """Run a payload in a Realm to its end."""
    with realmlab.Machine() as machine:
        result = machine.run_realm(payload, **options)
        assert (result.granules_left, result.granules_dirty) == (0, 0)
        return result


RUNS: dict[str, Callable[..., Any]] = {
    "ns": lambda **options: ns(say("hello") + FOREVER, **options),
    "realm": lambda **options: realm("spin", **options),
}


class TestLimits:
    @pytest.mark.parametrize("run", RUNS.values(), ids=list(RUNS))
    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("timeout", "0.3 s of wall time are over in the run"),
            ("silence", "no console has sent anything for 0.3 s in the run"),
        ],
    )
    def test_endless(self, run: Callable[..., Any], option: str, message: str) -> None:
        """Code without end: status 4, and the message says which limit it was."""
        before = perf_counter()
        result = run(**{option: 0.3})
        assert (result.status, result.reason) == (4, "limit")
        assert result.message.startswith(message)
        assert perf_counter() - before >= 0.3

    def test_output_breaks_silence(self) -> None:
        """A console that goes on sending is not silent, whatever else the limit of time is."""
        result = ns(CHATTER, silence=1, timeout=2.5)
        assert result.message.startswith("2.5 s of wall time are over")

    @pytest.mark.parametrize("run", [lambda **o: ns(say("x") + OFF, **o), lambda **o: realm("hello", **o)])
    def test_far_away(self, run: Callable[..., Any]) -> None:
        """Limits that are not reached change nothing."""
        plain, limited = run(), run(timeout=1e6, silence=1e6)
        assert (limited.status, limited.reason, limited.message) == (plain.status, plain.reason, "")
        assert (limited.console, limited.instructions, limited.ticks) == (
            plain.console, plain.instructions, plain.ticks,
        )  # fmt: skip

    def test_next_run(self) -> None:
        """The next run goes on, with limits of its own."""
        with NsMachine(NsImage(assemble(FOREVER))) as machine:
            assert machine.run(timeout=0.2).reason == "limit"
            assert machine.run(max_insns=1000).message.startswith("limit of 1000 instructions is reached in the run: ")
            assert machine.run(timeout=0.2).message.startswith("0.2 s")

    def test_live_realm(self) -> None:
        """A live Realm pauses there, and goes on."""
        with realmlab.Machine() as machine, machine.realm("spin") as live:
            first = live.run(timeout=0.2)
            assert (first.reason, first.status) == ("limit", None)
            assert first.message == "0.2 s of wall time are over in the run"
            assert live.run(max_insns=1000).message == "the limit of 1000 instructions is reached in the run"
            assert live.run(silence=0.2).message == "no console has sent anything for 0.2 s in the run"

    @pytest.mark.parametrize("world", ["realm", "ns-el2"])
    def test_command(self, world: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Both options apply in every world."""
        code = tmp_path / "forever.bin"
        code.write_bytes(assemble(FOREVER))
        what = ["spin"] if world == "realm" else [str(code), "--world", world]
        for option in ("--timeout", "--silence"):
            assert main(["run", *what, "-q", option, "0.2"]) == 4
            assert "0.2 s" in capfd.readouterr().err

    @pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1", True])
    def test_bad(self, value: object) -> None:
        """A limit is a time, and more than none."""
        with realmlab.Machine() as machine, pytest.raises(realmlab.MachineError, match="`timeout` must be a number"):
            machine.run_realm("hello", timeout=value)  # type: ignore[arg-type] # that is the point
