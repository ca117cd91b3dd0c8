"""Each phase of a run has its limits to itself, and its name in the message: the starts of a Secure payload, the run,
the boot after a reset, the build of a Realm."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from ns_code import FOREVER, OFF, RESET, assemble, constant, say
from secure_code import BASE, payload

import realmlab
from cca_arch.psci import Psci
from cca_tools.cli import main
from realmlab import MachineError, NotSeen, NsImage, NsMachine
from realmlab.wall import WallLimits

ROUNDS = 50_000
LOOP = f"{constant('x9', ROUNDS)} work: subs x9, x9, #1; b.ne work;"
UART1 = 0x1C0A_0000
SVC = (
    f"b start; .balign 2048; {'b never; .balign 128;' * 4} eret; .balign 128; {'b never; .balign 128;' * 3}"
    "start: adr x9, start; and x9, x9, #~0x7ff; msr vbar_el1, x9; mov x9, #200; call: svc #0; subs x9, x9, #1;"
    "b.ne call;"
)
"""Vectors that return from everything, and 200 exceptions."""
LATER = f"mrs x9, cntpct_el0; {constant('x10', 20_000)} cmp x9, x10; b.lo early; hang: b hang; early:"
"""Ends only in the first boot: the counter goes on over a reset."""
WORK = f"{constant('x9', 300_000)} busy: subs x9, x9, #1; b.ne busy;"
WAIT = f"mrs x9, cntpct_el0; {constant('x10', 100_000)} cmp x9, x10; b.hs off; {WORK} {RESET} off: {OFF}"
"""Resets the system until the counter says that it is late, which takes two times."""


@contextmanager
def machine(source: str, start: str | None = None, cpu_on: str = "", **options: Any) -> Iterator[NsMachine]:
    """A machine with this code at Non-secure EL2, and a Secure payload that begins with ``start``."""
    secure = None if start is None else NsImage(payload(start=start, cpu_on=cpu_on))
    with NsMachine(NsImage(assemble(source)), secure=secure, **options) as one:
        yield one


class TestInstructions:
    """``max_insns`` is of the run alone, ``secure_insns`` of each start of the Secure payload."""

    @pytest.mark.parametrize("start", [LOOP, SVC], ids=["instructions", "exceptions"])
    def test_budget_begins_with_the_run(self, start: str) -> None:
        """What a Secure payload does before it is ready costs the run nothing, and is not counted as the run's."""
        found = []
        for payload_start in (None, start):
            with machine(WAIT, payload_start) as one:
                found.append([(r.reason, r.retired) for r in (one.run(max_insns=n) for n in (1_000, 50_000))])
        assert found[0] == found[1]

    @pytest.mark.parametrize("start", [LOOP, SVC], ids=["instructions", "exceptions"])
    def test_budget_goes_on_after_a_reset(self, start: str) -> None:
        """The boots after resets cost the run nothing, either: it ends where it ends without them."""
        code, found = f"{LOOP} {RESET}", []
        for payload_start in (None, start):
            with machine(code, payload_start) as one:
                result = one.run(max_insns=5 * ROUNDS)
                reached = f"limit of {5 * ROUNDS} instructions is reached in the run after reset 2:"
                assert result.message.startswith(reached)
                found.append((len(result.resets), result.retired, one.cpus[0].pc))
        assert found[0] == found[1]

    @pytest.mark.parametrize("insns", [2 * ROUNDS - 1_000, 2 * ROUNDS + 1_000])
    def test_limit_of_the_payload(self, insns: int) -> None:
        """A Secure payload has ``secure_insns`` to become ready, on each PE that starts in the boot."""
        if insns > 2 * ROUNDS:
            with machine(OFF, LOOP, secure_insns=insns) as one:
                assert one.run().status == 0
            return
        used = f"^the Secure payload used {insns} instructions on PE 0 and has not returned: PE 0 loops from 0xfc0000"
        with pytest.raises(MachineError, match=used), machine(OFF, LOOP, secure_insns=insns):
            pass

    def test_exceptions_of_the_payload(self) -> None:
        """An exception counts for a thousand instructions there, because it takes as long."""
        used = r"^the Secure payload used \d+ instructions and took \d+ exceptions on PE 0 and has not returned: "
        with machine(OFF, SVC, secure_insns=210_000) as one:
            assert one.run().status == 0
        endless = SVC.replace("mov x9, #200", "mov x9, #-1")
        with pytest.raises(MachineError, match=used), machine(OFF, endless, secure_insns=150_000):
            pass

    def test_limit_after_a_reset(self) -> None:
        """The message says after which reset it did not return; what has run so far does not count."""
        ends = "PE 0 ends in a branch to itself at 0xfc0000"
        used = f"^the Secure payload used 100000 instructions on PE 0 and has not returned after reset 1: {ends}"
        with machine(f"{LOOP}{RESET}", LATER, secure_insns=100_000) as one:
            one.platform.clock.spend(200_000)
            with pytest.raises(MachineError, match=used):
                one.run()

    def test_start_on_another_pe(self) -> None:
        """A start that the software asks for by CPU_ON is part of its run; the message says what keeps it."""
        on = f"{constant('x0', Psci.CPU_ON)} mov x1, #0x100; {constant('x2', 0x8800_0000)} smc #0; {FOREVER}"
        with machine(on, "", cpu_on="hang: b hang;") as one:
            result = one.run(max_insns=200_000)
        reached = "limit of 200000 instructions is reached in the run, while the Secure payload starts on PE 1: "
        assert result.message.startswith(reached) and result.status == 4

    def test_expect(self) -> None:
        """``expect`` of a live machine and of a live Realm has a limit of the same kind."""
        reached = "limit of 1000 instructions is reached in the run"
        with machine(FOREVER, LOOP) as one, pytest.raises(NotSeen, match=reached):
            one.expect("never", max_insns=1_000)
        with realmlab.Machine() as host, host.realm("spin") as live, pytest.raises(NotSeen, match=reached):
            live.expect("never", max_insns=1_000)

    def test_command(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The command takes both limits: status 4 for that of the run, 2 for a payload that cannot be started."""
        code, secure = tmp_path / "code.bin", tmp_path / "secure.bin"
        code.write_bytes(assemble(FOREVER))
        secure.write_bytes(payload(start=LOOP))
        command = ["run", "--world", "ns-el2", str(code), "-q", "--secure", str(secure), "--max-insns", "1000"]
        assert main(command) == 4
        reached = "limit of 1000 instructions is reached in the run: PE 0 ends in a branch to itself at 0x88"
        assert reached in capfd.readouterr().err
        assert main([*command, "--secure-insns", "5000"]) == 2
        err = capfd.readouterr().err
        assert "the Secure payload used 5000 instructions on PE 0" in err and "more with --secure-insns" in err


class TestWallTime:
    """``timeout`` and ``silence`` are of each phase, too."""

    @pytest.mark.parametrize("option", ["timeout", "silence"])
    def test_first_boot(self, option: str) -> None:
        """A Secure payload that does not start within the limit is no machine."""
        limits: dict[str, Any] = {option: 0.3, "secure_insns": 1 << 60}
        with pytest.raises(MachineError, match=r"0.3 s.* in the start of the Secure payload: PE 0 is at 0xfc0000.*"):
            NsMachine(NsImage(assemble(OFF)), secure=NsImage(payload(start="hang: b hang;")), **limits)

    @pytest.mark.parametrize("option", ["timeout", "silence"])
    def test_boot_after_a_reset(self, option: str) -> None:
        """It ends the run as a limit does, and the next run goes on with the boot."""
        with machine(f"{WORK}{RESET}", LATER, secure_insns=1 << 60) as one:
            result = one.run(**{option: 0.3})
            assert (result.status, result.reason, len(result.resets)) == (4, "limit", 1)
            assert "0.3 s" in result.message
            ends = "PE 0 ends in a branch to itself at 0xfc0000"
            assert f"in the start of the Secure payload after reset 1: {ends}" in result.message
            again = one.run(**{option: 0.3})
            assert (again.status, again.instructions) == (4, 0) and "the start of the Secure payload" in again.message

    def test_boot_costs_the_run_nothing(self) -> None:
        """The seconds of the run go on where they were when the boot began."""
        wall = WallLimits(0.5, None, lambda: None)
        with wall:
            with wall.apart("the boot"):
                sleep(0.3)
            sleep(0.3)
            assert wall.text == ""
            with wall.apart("the boot"):
                sleep(0.7)
        assert wall.text == "0.5 s of wall time are over in the boot"

    def test_build(self) -> None:
        """The build of a Realm is a phase: no run follows one that took too long."""
        with realmlab.Machine() as one:
            result = one.run_realm("hello", timeout=1e-6)
            assert (result.status, result.reason, result.instructions) == (4, "limit", 0)
            assert result.message.startswith("1e-06 s of wall time are over in the build of the Realm: ")
            assert (result.granules_left, result.granules_dirty) == (0, 0)
            assert one.run_realm("hello", timeout=1e6).status == 0

    @pytest.mark.parametrize("option", ["--timeout", "--silence"])
    def test_command(self, option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Status 4, in the first boot, too."""
        code, secure = tmp_path / "code.bin", tmp_path / "secure.bin"
        code.write_bytes(assemble(OFF))
        secure.write_bytes(payload(start="hang: b hang;"))
        many = ["--secure-insns", str(1 << 60)]
        command = ["run", "--world", "ns-el2", str(code), "-q", "--secure", str(secure), *many, option, "0.3"]
        assert main(command) == 4
        out, err = capfd.readouterr()
        assert out == "" and err.count("\n") == 1 and "in the start of the Secure payload: PE 0 is at 0xfc0000" in err


class TestPauses:
    """A pause in the boot after a reset is a pause like any other, and the next run goes on from there."""

    CODE = f"{LOOP}{WAIT}"
    START = say("Secure\n", UART1) + LOOP

    def whole(self) -> Any:
        """The outcome of a run that does not pause."""
        with machine(self.CODE, self.START) as one:
            result = one.run()
            return result.retired, result.resets, one.platform.clock.now

    def test_until(self) -> None:
        """What the payload shows then can end the run; all runs together are the run that did not pause."""
        retired, resets, now = self.whole()
        with machine(self.CODE, self.START) as one:
            first = one.run(until="Secure", max_insns=1_000_000)  # of the first boot
            second = one.run(until="Secure", max_insns=1_000_000)
            assert (first.instructions, second.reason) == (0, "until") and len(second.resets) == 1
            rest = one.run()
            assert (rest.status, [*second.resets, *rest.resets]) == (0, resets)
            assert (second.instructions + rest.instructions, one.platform.clock.now) == (sum(retired), now)

    def test_expect(self) -> None:
        """``expect`` finds it, and the machine can be stepped there."""
        with machine(self.CODE, self.START) as one:
            one.expect("Secure", uart="uart1")
            one.expect("Secure", uart="uart1", max_insns=1_000_000)
            assert one.firmware.starting is not None
            one.step(10)
            assert one.run().status == 0

    def test_breakpoint_and_snapshot(self) -> None:
        """A breakpoint in the payload stops there; what was saved there ends as what went on."""
        _, resets, now = self.whole()
        with machine(self.CODE, self.START) as one:
            hook = one.break_on(BASE, world=realmlab.SecurityState.SECURE)
            result = one.run()
            assert (result.reason, len(result.resets), one.cpus[0].pc) == ("breakpoint", 1, BASE)
            hook.remove()
            saved, ends = one.snapshot(), []
            for _ in range(2):
                rest = one.run()
                ends.append((rest.status, rest.resets, one.platform.clock.now))
                one.restore(saved)
            assert ends == [(0, resets[1:], now)] * 2

    def test_callbacks(self) -> None:
        """A hook in the payload is called in each boot of the run, and what a callback raises comes out."""
        with machine(self.CODE, self.START) as one:
            seen: list[int] = []
            one.hook(BASE, lambda cpu: seen.append(cpu.pc), world=realmlab.SecurityState.SECURE)
            result = one.run()
            assert result.status == 0 and seen == [BASE] * len(result.resets)

        def fail(uart: str, data: bytes) -> None:
            if uart == "uart1":
                raise ZeroDivisionError

        with machine(self.CODE, self.START) as one:
            one.run(max_insns=1_000)  # which has the output of the first boot
            with pytest.raises(ZeroDivisionError):
                one.run(on_output=fail)
            assert one.firmware.starting is not None and one.run().status == 0
