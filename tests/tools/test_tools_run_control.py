"""What ends a run of a Realm besides itself, and which status tells what: patterns of its console, limits, a reset."""

import json
from pathlib import Path
from typing import Any

import pytest
from ns_code import FOREVER, OFF, RESET, assemble, say

import realmlab
from cca_host.kvmtool.layout import RAM_BASE, UART_BASE
from cca_tools.cli import main

UART = UART_BASE | 1 << 32
PROMPT = say("first line\nsecond\nlogin: ", UART)


@pytest.fixture(scope="module")
def machine() -> Any:
    with realmlab.Machine() as made:
        yield made


@pytest.fixture
def run(machine: realmlab.Machine, tmp_path: Path) -> Any:
    """Run a payload that says two lines and half a one, and then goes on with ``source``."""

    def go(source: str, **options: Any) -> realmlab.RunResult:
        path = tmp_path / "payload"
        path.write_bytes(assemble(f"{PROMPT} {source}", RAM_BASE))
        result = machine.run_realm(path, memory="4M", **options)
        assert (result.granules_left, result.granules_dirty) == (0, 0)
        return result

    return go


class TestPatterns:
    """``until``, ``expect`` and ``reject``, as in a run at Non-secure EL2."""

    @pytest.mark.parametrize("text", ["second", "login: ", "t line"])
    def test_until(self, run: Any, text: str) -> None:
        """The run ends as soon as a line has the text, even one without an end; the status is 0."""
        result = run(FOREVER, until=text)
        assert (result.status, result.reason, result.message) == (0, "until", "")
        assert result.console.endswith(text.encode())

    def test_never(self, run: Any) -> None:
        """A run that ends before is a failure: status 1, or its own."""
        result = run(OFF, until="third", expect=["fourth", "first"])
        assert (result.status, result.reason) == (1, "system_off")
        assert result.message == "no console showed 'fourth', 'third'"
        assert run(RESET, until="third").status == 5

    def test_expect(self, run: Any) -> None:
        """What is expected may come on any line, the last one without an end included."""
        assert run(OFF, expect=["^first line$", "^login: $"]).status == 0

    def test_reject(self, run: Any) -> None:
        """A line that must not come ends the run with status 1, whatever else there is."""
        result = run(FOREVER, reject=["sec.nd"], until="login")
        assert (result.status, result.reason) == (1, "rejected")
        assert result.message == "the console must not show 'sec.nd', but sent 'second'"
        assert result.console == b"first line\nsecond\n"
        assert run(RESET, reject=["^login: $"]).status == 1

    def test_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The command has them, too."""
        path = tmp_path / "payload"
        path.write_bytes(assemble(f"{PROMPT} {FOREVER}", RAM_BASE))
        words = ["run", str(path), "--memory", "4M", "--json"]
        for options, status, reason in (
            (["--until", "login:", "--expect", "first"], 0, "until"),
            (["--reject", "second"], 1, "rejected"),
            (["--timeout", "0.5"], 4, "limit"),
        ):
            assert main([*words, *options]) == status
            assert json.loads(capsys.readouterr().out)["reason"] == reason


class TestReset:
    """A reset is not an end in order."""

    def test_status(self, run: Any) -> None:
        """Its status is 5, where that of SYSTEM_OFF is 0: Linux asks for one when it has panicked with panic=-1."""
        result = run(RESET)
        assert (result.status, result.reason) == (5, "system_reset")
        assert result.message.startswith("vCPU 0 asks for a reset, which ends the VM")
        assert run(OFF).status == 0
