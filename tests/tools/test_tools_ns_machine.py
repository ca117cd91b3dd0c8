"""The API for Non-secure images: what is loaded, how a run ends, and what a reset keeps."""

from pathlib import Path

import pytest
from ns_code import ENTRY, FOREVER, OFF, RESET, UART0, assemble, constant, say
from secure_code import payload

import realmlab
from cca_platform.board import Board
from realmlab import NsImage, NsMachine, NsResult, SecurityState

KEPT = 0x9000_0000
UART1 = 0x1C0A_0000
COUNT = f"{constant('x3', KEPT)} ldr x4, [x3]; add x4, x4, #1; str x4, [x3]; "
"""Counts in X4 how often it runs."""


def run(source: str, **options: object) -> NsResult:
    """Run code from assembly on a machine of its own."""
    with NsMachine(NsImage(assemble(source))) as machine:
        return machine.run(**options)  # type: ignore[arg-type] # options of several types


class TestImages:
    """Images are files, payloads by name, or bytes, at addresses of their own."""

    def test_payload(self) -> None:
        """A payload that comes along runs by its name."""
        with NsMachine("ns_gpf") as machine:
            result = machine.run(expect=["^ns_gpf: 0 wrong$"])
        assert (result.status, result.reason, result.message) == (0, "system_off", "")
        assert result.console.endswith(b"ns_gpf: 0 wrong\n") and result.instructions // 10 == result.ticks > 100

    def test_several(self, tmp_path: Path) -> None:
        """Data at an address is there for the code of another file."""
        code, data = tmp_path / "code.bin", tmp_path / "data.bin"
        code.write_bytes(
            assemble(f"{constant('x3', 0x9000_0001)} {constant('x2', UART0)} ldrb w1, [x3]; str w1, [x2]; {OFF}")
        )
        data.write_bytes(b"!")
        with NsMachine([str(code), f"{data}@0x90000001"]) as machine:
            assert machine.run().console == b"!"

    def test_path_with_at(self, tmp_path: Path) -> None:
        """A file whose name has an @ is found by its whole name."""
        path = tmp_path / "code@0x9000"
        path.write_bytes(assemble(OFF))
        with NsMachine(path) as machine:
            assert machine.run().status == 0

    def test_entry(self) -> None:
        """``entry`` says where the code starts."""
        image = NsImage(assemble(f"{FOREVER} {OFF}"))
        with NsMachine(image, entry=ENTRY + 4) as machine:
            assert machine.run(max_insns=100).reason == "system_off"

    @pytest.mark.parametrize("el", [1, 2])
    def test_el(self, el: int) -> None:
        """``el`` is the level at which it starts."""
        level = "mrs x1, currentel; lsr x1, x1, #2; add x1, x1, #48;"
        source = f"{constant('x2', UART0)} {level} str w1, [x2]; {OFF}"
        with NsMachine(NsImage(assemble(source)), el=el) as machine:
            assert machine.run().console == b"%d" % el

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            ([], "there must be an image"),
            ("helo", "did you mean 'hello'"),
            ("none.bin", "does not exist"),
            ("@0x1000", "must be FILE or FILE@ADDRESS"),
            ("hello@where", "the address of hello must be a number"),
            ("hello@-4096", "the address of hello must be a number"),
            ("hello@0x90000000", "must go where it is linked"),
            (NsImage(b""), "must not be empty"),
        ],
    )
    def test_refused(self, images: object, message: str) -> None:
        """What is no image is refused with the reason."""
        with pytest.raises(realmlab.MachineError, match=message):
            NsMachine(images)  # type: ignore[arg-type] # what a user may get wrong


REFUSED: list[dict[str, object]] = [
    {"expect": ["("]}, {"reject": ["*"]}, {"until": ""}, {"max_insns": 0}, {"max_resets": -1},
]  # fmt: skip


class TestEnds:
    """A run ends for a reason, which its status and its message tell."""

    def test_off(self) -> None:
        """SYSTEM_OFF is a plain end."""
        assert (run(OFF).status, run(OFF).reason) == (0, "system_off")

    def test_limit(self) -> None:
        """The limit counts the instructions of all PEs, and the message says where they are."""
        result = run(FOREVER, max_insns=100_000)
        assert (result.status, result.reason) == (4, "limit") and 100_000 <= result.instructions < 100_100
        reached = "limit of 100000 instructions is reached in the run"
        loop = "PE 0 ends in a branch to itself at 0x88000000: end the run by PSCI SYSTEM_OFF"
        assert result.message == f"{reached}: {loop}"

    def test_limit_of_exceptions(self) -> None:
        """The limit counts an exception as an instruction, for it costs the host more than that."""
        vectors = "b start; .balign 2048; vectors: .space 0x200; eret;"
        result = run(f"{vectors} start: adr x0, vectors; msr vbar_el2, x0; again: svc #0; b again", max_insns=200_000)
        assert (result.status, result.reason) == (4, "limit")
        assert 149_000 < result.instructions < 152_000  # three instructions for each exception

    def test_unclaimed(self) -> None:
        """Where there is no device, the result says so: once for each window or page, over resets too."""
        window = "movz x2, #0x1A00, lsl #16; ldr w3, [x2]; ldr w3, [x2, #8]"
        result = run(f"{window}; movz x1, #0x1000, lsl #16; ldr w3, [x1]", max_insns=1_000)
        name = next(one.name for one in Board.load("fvp").devices if one.base == 0x1A00_0000)
        assert result.unclaimed == ["0x10000000", name]

    def test_idle(self) -> None:
        """A PE that waits for ever ends the run, which has failed."""
        result = run("msr daifset, #15; wfi; b .-4")
        assert (result.status, result.reason) == (3, "idle")
        assert result.message == (
            "every PE waits for an interrupt that cannot come: no timer is on and no interrupt is enabled that could "
            "end the wait at 0x88000008: set up the GIC and a timer before WFI, or end the run by PSCI SYSTEM_OFF"
        )

    def test_stuck(self) -> None:
        """Exceptions without end, as for want of vectors, end the run, which has failed."""
        result = run(".word 0")
        assert (result.status, result.reason) == (3, "stuck")
        assert result.message == (
            "PE 0 takes exceptions without end: the code at 0x88000000 is zero: what runs there is no code, but data "
            "or memory that nothing was loaded to: check the linker script, the entry point and the end of the "
            "function before; VBAR_EL2 is 0: there are no vectors"
        )

    @pytest.mark.parametrize("text", ["login:", "login: "])
    def test_until(self, text: str) -> None:
        """A prompt is found before its line ends; the run then goes on where it was."""
        with NsMachine(NsImage(assemble(say("login: ") + say("welcome\n") + OFF))) as machine:
            result = machine.run(until=text)
            assert (result.status, result.reason, result.console) == (0, "until", text.encode())
            rest = machine.run()
            assert result.console + rest.console == b"login: welcome\n" and rest.reason == "system_off"

    def test_until_in_vain(self) -> None:
        """A run that ends before the text appears has not done what it should."""
        result = run(OFF, until="login")
        assert (result.status, result.reason, result.message) == (1, "system_off", "no console showed 'login'")

    def test_expect(self) -> None:
        """Every pattern has to match some line, also one without an end."""
        source = say("2 passed\r\n0 failed") + OFF
        assert run(source, expect=[r"^\d passed$", r"\b0 failed$"]).status == 0
        result = run(source, expect=["passed", "skipped", "broken"])
        assert (result.status, result.missing) == (1, ["skipped", "broken"])
        assert result.message == "no console showed 'skipped', 'broken'"

    def test_expect_and_limit(self) -> None:
        """A failure has its own status; what was not seen is told too."""
        result = run(FOREVER, expect=["passed"], max_insns=1_000)
        assert result.status == 4 and result.message.endswith("; no console showed 'passed'")

    def test_reject(self) -> None:
        """The first line that must not appear ends the run."""
        result = run(say("FAIL 3\n") + FOREVER, reject=["FAIL", "PASS"], max_insns=10_000)
        assert (result.status, result.reason) == (1, "rejected")
        assert result.message == "uart0 must not show 'FAIL', but sent 'FAIL 3'"

    def test_other_uart(self) -> None:
        """Every UART is a console."""
        result = run(say("one\n") + say("two\n", UART1) + FOREVER, expect=["one"], until="two")
        assert result.status == 0 and result.consoles["uart1"] == b"two"

    def test_endless_line(self) -> None:
        """A line without an end is looked at in parts."""
        source = f"{constant('x2', UART0)} mov w1, #45; again: str w1, [x2]; b again"
        assert run(source, reject=["^-{4096}$"], max_insns=20_000).reason == "rejected"

    def test_endless_line_of_characters(self) -> None:
        """No part of such a line ends within a character: 4098 bytes here."""
        bytes_of = "".join(f"mov w1, #{byte}; str w1, [x2]; " for byte in "€".encode())
        source = f"{constant('x2', UART0)} again: {bytes_of} b again"
        assert run(source, reject=["^€{1366}$"], max_insns=20_000).reason == "rejected"

    def test_input(self) -> None:
        """What arrives at a UART is there to be read."""
        source = f"{constant('x2', UART0)} ldr w1, [x2]; str w1, [x2]; {OFF}"
        with NsMachine(NsImage(assemble(source))) as machine:
            machine.uarts["uart0"].receive(b"?")
            assert machine.run().console == b"?"

    def test_snapshot(self) -> None:
        """After a restore the machine does again what it did."""
        with NsMachine(NsImage(assemble(say("once") + OFF))) as machine:
            saved = machine.snapshot()
            first = machine.run()
            machine.restore(saved)
            assert (machine.run().console, first.console) == (b"once", b"once")

    @pytest.mark.parametrize("options", REFUSED)
    def test_refused(self, options: dict[str, object]) -> None:
        """Nonsense is refused before anything runs."""
        with pytest.raises(realmlab.MachineError, match=r"must be"):
            run(OFF, **options)


class TestReset:
    """A system reset boots again: the images are loaded, DRAM is lost but for what is to be kept."""

    def test_kept(self) -> None:
        """A word in nonvolatile memory counts the boots; without it every boot is the first."""
        source = f"{COUNT} cmp x4, #3; b.eq done; {RESET} done: {OFF}"
        image = NsImage(assemble(source))
        with NsMachine(image, nonvolatile=[(KEPT, 0x1000)]) as machine:
            result = machine.run()
            assert (result.reason, len(result.resets)) == ("system_off", 2)
            assert machine.memory.port(SecurityState.NON_SECURE).read64(KEPT) == 3
        with NsMachine(image) as machine:
            result = machine.run(max_resets=4)
        assert (result.status, result.reason, len(result.resets)) == (4, "limit", 5)
        assert result.message == "the system must be reset at most 4 times: allow more with `max_resets`"

    def test_images_again(self) -> None:
        """What the software did to its own image is undone."""
        source = f"{COUNT} adr x5, word; ldr w6, [x5]; str w4, [x5]; cmp x4, #2; b.eq done; {RESET}"
        source += f"done: add w1, w6, #48; {constant('x2', UART0)} str w1, [x2]; {OFF} word: .word 0"
        with NsMachine(NsImage(assemble(source)), nonvolatile=[(KEPT, 0x1000)]) as machine:
            assert machine.run().console == b"0"

    def test_no_reset(self) -> None:
        """With no reset allowed, one is a plain end."""
        result = run(say("x") + RESET, max_resets=0)
        assert (result.status, result.reason, len(result.resets), result.console) == (0, "system_reset", 1, b"x")

    def test_instructions(self) -> None:
        """The limit and the count are over all boots."""
        result = run(f"mov x5, #1000; again: subs x5, x5, #1; b.ne again; {RESET}", max_insns=10_000)
        assert (result.status, result.reason) == (4, "limit") and len(result.resets) in (3, 4, 5)
        assert 10_000 <= result.instructions < 10_100

    def test_snapshot(self) -> None:
        """A snapshot from before a reset brings back what the reset lost, and the same happens again."""
        source = f"{COUNT} cmp x4, #3; b.eq done; {RESET} done: {OFF}"
        with NsMachine(NsImage(assemble(source)), nonvolatile=[(KEPT, 0x1000)]) as machine:
            saved = machine.snapshot()
            first = machine.run()
            machine.restore(saved)
            assert machine.memory.port(SecurityState.NON_SECURE).read64(KEPT) == 0
            again = machine.run()
        assert (again.retired, again.ticks, again.resets) == (first.retired, first.ticks, first.resets)

    @pytest.mark.parametrize("kept", [(0, 0x1000), (KEPT, 0), (KEPT, 5), (KEPT + 1, 0x1000), (0xFFC0_0000, 0x1000)])
    def test_refused(self, kept: tuple[int, int]) -> None:
        """Only whole granules of Non-secure DRAM can be kept."""
        with pytest.raises(realmlab.MachineError, match="nonvolatile memory"):
            NsMachine(NsImage(b"code"), nonvolatile=[kept])


class TestBoot:
    """What is sent while the machine boots belongs to the first run."""

    SECURE = "Secure one\nSecure two\n"

    def machine(self, tmp_path: Path, **options: object) -> NsMachine:
        """A machine whose Secure payload speaks as it starts."""
        path = tmp_path / "secure.bin"
        path.write_bytes(payload(start=say(self.SECURE)))
        code = NsImage(assemble(say("NS\n") + OFF))
        return NsMachine(code, secure=path, **options)  # type: ignore[arg-type] # options of several types

    def test_run(self, tmp_path: Path) -> None:
        """Its patterns look at it, its result and its callback have it; a later run starts anew."""
        heard: list[bytes] = []
        with self.machine(tmp_path) as machine:
            first = machine.run(until="NS", expect=["^Secure one$"], on_output=lambda uart, data: heard.append(data))
            second = machine.run()
        assert (first.status, first.reason, first.missing) == (0, "until", [])
        assert first.console.decode() == b"".join(heard).decode() == self.SECURE + "NS"
        assert second.console == b"\n"

    def test_until(self, tmp_path: Path) -> None:
        """A text that the boot has shown ends the first run before it begins."""
        with self.machine(tmp_path) as machine:
            first, second = machine.run(until="Secure two"), machine.run()
        assert (first.status, first.reason, first.instructions) == (0, "until", 0)
        assert (second.reason, second.console) == ("system_off", b"NS\n")

    def test_reject(self, tmp_path: Path) -> None:
        """A pattern that must not appear may not appear in the boot either."""
        with self.machine(tmp_path) as machine:
            assert machine.run(reject=["two"]).reason == "rejected"

    def test_on_output(self, tmp_path: Path) -> None:
        """The machine's own callback gets everything as it is sent, from the boot on."""
        heard: list[tuple[str, bytes]] = []
        with self.machine(tmp_path, on_output=lambda uart, data: heard.append((uart, data))) as machine:
            assert b"".join(data for _, data in heard).decode() == self.SECURE
            machine.run()
        assert b"".join(data for _, data in heard).decode() == self.SECURE + "NS\n"
        assert {uart for uart, _ in heard} == {"uart0"}
