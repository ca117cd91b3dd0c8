"""A machine that runs real Non-secure software: firmware-level payloads at EL2 or EL1, as on the board."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Unpack

from cca_firmware.base.errors import BootError, NotReady
from cca_firmware.boot import Firmware, boot, finish
from cca_firmware.package.nsimage import NsImage
from cca_platform.board import Bank, Board
from cca_platform.devices.pl011 import Pl011
from cca_platform.errors import InstructionLimit, LimitReached, MachineError, MachineStopped
from cca_platform.failure import Failure
from cca_platform.halt import Halt
from cca_platform.pe.hint import missing
from cca_platform.printable import brief, printable
from cca_platform.trace.events import RunStart, RunStop

from .bundled import World
from .checks import COUNT, at_least, image, octets, optional, several, whole
from .console import Consoles, NotSeen, Watch, sent
from .cpu import Cpu, Registers
from .devicetree import place, tree
from .images import parse_image
from .kept import KeptFiles
from .options import BOARD, NsMachineOptions, NsRunOptions, RunOptions, read, takes
from .results import End, NsResult, Reason, judge, where
from .session import Session
from .symbols import loaded
from .wall import WallLimits

__all__ = ["NsMachine"]

_RESETS = 16  # in a run that waits for a string
_RUN, _SECURE = "the run", "the start of the Secure payload"

Image = str | os.PathLike[str] | NsImage


class NsMachine(Session):
    """A board booted by the trusted firmware, with your code at Non-secure EL2.

    ``images`` are what to load. Each is the path of an ELF file (loaded where its program headers say) or of a raw
    image, ``FILE@ADDRESS``, the name of a bundled payload, or an ``NsImage``. Execution starts at ``entry``, by default
    the entry point of the first ELF file, else the first raw image. Code that starts at EL1 has no EL2 above it.
    ``nonvolatile`` are ranges of DRAM: (base, size), or ``BASE:SIZE`` with units; with a file, (base, size, file) or
    ``BASE:SIZE=FILE``, they begin with its contents, and :meth:`close` writes them back. ``dtb`` is a device tree in a
    file, or ``"auto"`` for one of the board; X0 points to it. ``timeout`` and ``silence`` limit the start of a Secure
    payload here, ``secure_insns`` also those after a reset; a run has limits of its own. Raises MachineError, which
    says what is wrong and how to fix it.

    ::

        with realmlab.NsMachine("rmi") as machine:
            result = machine.run(expect=["0 failed"], max_insns=10_000_000)
            print(result.console.decode(), result.status)
    """

    firmware: Firmware
    """What the last boot left in place."""

    @takes(NsMachineOptions)
    def __init__(
        self,
        images: Image | Iterable[Image],
        *,
        board: str | os.PathLike[str] | Board = BOARD.default,
        **options: Unpack[NsMachineOptions],
    ) -> None:
        given = read(NsMachineOptions, options)
        self._images = _images(images)
        if not self._images:
            raise MachineError("there must be an image to run, not none")
        self._boot: dict[str, Any] = {"ns_images": self._images, "ns_entry": given["entry"], "ns_el": given["el"]}
        self._boot["secure_insns"] = given["secure_insns"]
        if given["secure"] is not None:
            secure = _image("secure", given["secure"], "secure")
            if secure.address is not None:
                raise MachineError(f"the Secure image must have no address, not {secure.address:#x}: the board has it")
            self._boot["secure_image"] = secure.data
        self._kept = KeptFiles(())
        super().__init__(board, given)
        kept = [Bank(base, size) for base, size, _ in given["nonvolatile"]]
        self._why: Reason | None = None
        self._wall = WallLimits(None, None, lambda: None)
        tell = given["on_output"]
        self._consoles = Consoles(self.platform, self._seen, None if tell is None else self._calls.guarded(tell))
        self._consoles.heard = self._heard
        try:
            self.platform.nonvolatile = (*self.platform.board.nonvolatile, *kept)
            self._kept = KeptFiles(given["nonvolatile"])
            if given["dtb"] is not None:
                self._give_tree(given["dtb"])
            self._kept.load(self.platform.memory)
            with self._within(given["timeout"], given["silence"], _SECURE):
                self._start()
            if self.firmware.starting is not None:
                raise LimitReached(f"{self._wall.text}: {where(self.platform)}")
            self.platform.go_on()  # a limit that came too late
        except BaseException:
            self.close()
            raise

    def _give_tree(self, dtb: str | os.PathLike[str]) -> None:
        """Load a device tree beside the images, and let X0 point to it."""
        platform, boot = self.platform, self._boot
        blob = tree(dtb, platform.board)
        blob = place(blob, self._images, platform.board, boot["ns_entry"], platform.nonvolatile)
        boot |= {"ns_images": [*self._images, blob], "ns_x0": blob.address}

    def write_nonvolatile(self) -> None:
        """Write nonvolatile memory that has changed to its files; raises MachineError if that fails."""
        self._calls.must_be_open("write_nonvolatile()")
        self._kept.write(self.platform.memory)

    def _start(self, resets: Sequence[str] = ()) -> None:
        """Boot from reset; the start of a Secure payload is half done if the machine pauses."""
        rmm = self._rmm()
        with self._booting(resets):
            self.firmware = boot(self.platform, rmm=rmm, **self._boot, **self._boot_options())
        self.inspector = rmm.inspector

    @property
    def uarts(self) -> Mapping[str, Pl011]:
        """The UARTs by name, in board order. ``uarts["uart0"].receive(b"...")`` sends input."""
        return self._consoles.uarts

    @takes(NsRunOptions)
    def run(self, **options: Unpack[NsRunOptions]) -> NsResult:
        """Run until the software turns the system off, rebooting on each system reset, or until one of these ends.

        ``until``: a console line contains this string. ``reject``: a line matches one of these regular expressions;
        ``expect`` are those that must appear by the end. ``max_insns``: the PEs retired this many instructions in all,
        apart from boots. ``max_resets``: one reset more than this; with 0, a reset is a normal end.
        ``on_output(uart, bytes)`` gets what the UARTs send, as they send it. The first run has what they sent in the
        boot, too. After ``until``, a breakpoint or a limit, the next call resumes the run. ``timeout`` and ``silence``
        are in seconds of wall time, for the run and anew for each boot. Raises MachineError if a Secure payload does
        not start after a reset.
        """
        given = read(NsRunOptions, options)
        max_insns, max_resets = given["max_insns"], given["max_resets"]
        watch = Watch(given["until"], given["expect"], given["reject"])
        tell = given["on_output"]
        platform, consoles = self.platform, self._consoles
        self._calls.must_be_free("run")
        self._why = None
        wall = self._within(given["timeout"], given["silence"], _RUN)
        consoles.start(watch, None if tell is None else self._calls.guarded(tell))
        if self.trace.on:
            names = printable(" ".join(image.name for image in self._images))
            self.trace.emit(RunStart(board=platform.board.name, payload=names, clock=platform.clock.mode))
        start, ticks = perf_counter(), platform.clock.now
        with self._calls.call("run"), _interruptible(self._pause), wall:
            end, retired, resets = self._run(max_insns, max_resets)
        platform.go_on()  # a limit that came too late
        consoles.end_lines()
        status, reason, message, failure = judge(platform, end, watch, max_resets, self._explain)
        if self.trace.on:
            self.trace.emit(RunStop(reason=reason, status=status, instructions=sum(retired)))
        return NsResult(
            status=status,
            reason=reason,
            message=message,
            failure=failure,
            consoles=consoles.sent,
            dropped=consoles.dropped,
            missing=watch.missing,
            resets=resets,
            unclaimed=platform.bus.unclaimed,
            lacks=missing(platform.pes),
            retired=retired,
            ticks=platform.clock.now - ticks,
            counter_hz=platform.board.counter_hz,
            wall_seconds=perf_counter() - start,
        )

    def _explain(self, reason: Reason, what: str) -> Failure:
        """Why a run has failed."""
        with self.trace.paused():
            silent = not any(self._consoles.sent.values())
            from .failure import of_non_secure

            return of_non_secure(self.platform, self._hooks.symbols, reason, what, silent)

    def _run(self, max_insns: int | None, max_resets: int) -> tuple[End, list[int], list[str]]:
        """Return (why the machine stopped or paused, instructions of each PE, resets)."""
        platform, resets, wall = self.platform, list[str](), self._wall
        retired, exceptions = [0] * len(platform.pes), 0
        while True:
            end = self._boot_on(resets)
            if self.firmware.starting is None:
                before, taken = [pe.retired for pe in platform.pes], platform.clock.exceptions
                end = self._run_on(None if max_insns is None else max_insns - sum(retired) - exceptions)
                exceptions += platform.clock.exceptions - taken
                for index, pe in enumerate(platform.pes):
                    retired[index] += pe.retired - before[index]
            if end is None:
                continue
            if end.reason is Reason.LIMIT:
                reached = wall.text or f"limit of {max_insns} instructions is reached in {wall.phase}"
                return end._replace(text=reached + self._starts()), retired, resets
            if end.reason is not Reason.SYSTEM_RESET:
                return end, retired, resets
            resets.append(end.text.removeprefix("system reset").removeprefix(": "))
            if len(resets) > max_resets:
                return end, retired, resets
            platform.reset(resets[-1])
            self._start(resets)
            wall.phase = _after(_RUN, resets)

    def _starts(self) -> str:
        """What the Secure payload does in the run: it starts on the PEs that the software has turned on."""
        secure, booting = self.firmware.secure, self.firmware.starting is not None
        if secure is None or booting:
            return ""
        starting = " and ".join(f"PE {pe.index}" for pe in self.platform.pes if secure.start.on(pe))
        return f", while the Secure payload starts on {starting}" if starting else ""

    def _boot_on(self, resets: Sequence[str]) -> End | None:
        """Go on with a boot that has paused; returns why it paused again."""
        if self.firmware.starting is None:
            return None
        with self._booting(resets):
            booted = finish(self.platform, self.firmware, self._boot["secure_insns"])
        return None if booted else self._paused(str(self.platform.stopped))

    @contextmanager
    def _booting(self, resets: Sequence[str]) -> Iterator[None]:
        """A boot inside the block, which is a phase of its own and has its name in the messages."""
        with self._wall.apart(_after(_SECURE, resets)):
            try:
                yield
            except NotReady as error:
                from .failure import of_secure

                found = of_secure(self.platform.pes[error.pe], self._hooks.symbols, _after(error.what, resets))
                told = f"{found.reason if found.cause else error.state}; {error.remedy}"
                raise BootError(f"{found.what}: {told}") from None
            except BootError as error:
                raise BootError(_after(str(error), resets)) from None

    def _run_on(self, max_insns: int | None) -> End | None:
        """Run the machine; returns why it stopped, or None if a hook was reached and the run may go on."""
        platform = self.platform
        try:
            text = platform.run(max_insns) if max_insns is None or max_insns > 0 else None
        except InstructionLimit:
            text = None
        except MachineStopped as stopped:
            text = str(stopped)
        if text is None:
            return End(Reason.LIMIT, "limit")
        return self._paused(text)

    def _paused(self, text: str) -> End | None:
        """Why the machine has stopped, or None if a hook was reached and the run may go on."""
        platform = self.platform
        halt, pause = platform.halt, self._why
        platform.go_on()  # if it only paused: the next run resumes here
        if any(pe.paused for pe in platform.pes):
            pause = Reason.BREAKPOINT if self._hooks.reached() else self._why
            platform.go_on()
            if pause is None:
                return None
        return End.of(halt, text, pause)

    # -- live ---------------------------------------------------------------------------------------------------
    def step(self, count: int = 1, *, cpu: int = 0) -> Cpu:
        """Run ``count`` instructions on one PE alone, without hooks. An exception or interrupt is a step, too.

        A PE in WFI takes a step when an interrupt wakes it. Raises MachineError if the PE or the machine is off.
        """
        COUNT("count", count)
        at_least(0, len(self.platform.pes) - 1)("cpu", cpu)
        pe = self.platform.pes[cpu]
        with self._calls.call("step"):
            for _ in range(count):
                if self._calls.failed:
                    break
                if self.platform.stopped is not None or not pe.on:
                    raise MachineError(f"PE {cpu} must be on to step, not off ({self.platform.stopped or 'PSCI'})")
                with self.platform.inputs.running():
                    pe.step(alone=True)
                self.platform.go_on()  # an event may have wanted a pause
            pe.rearm()
        return self.cpus[cpu]

    def expect(
        self, pattern: str | re.Pattern[str], *, uart: str | None = None, max_insns: int | None = None
    ) -> re.Match[str]:
        """Run until a console shows a match of this regular expression; consumes the output up to its end.

        Matches the unread output of ``uart`` (default: the first) line by line, unless the pattern has a line feed.
        Raises NotSeen if the run ends, pauses, or retires ``max_insns`` instructions first.
        """
        name, consoles = uart or next(iter(self.uarts)), self._consoles
        limit = read(RunOptions, {"max_insns": max_insns})["max_insns"]
        self._calls.must_be_free("expect")
        expected = consoles.expect(name, pattern)
        self._why = None
        self._within(None, None, _RUN)
        consoles.start(Watch(), None)
        end = End(Reason.UNTIL, "")
        try:
            if expected.match is None:
                with self._calls.call("expect"), _interruptible(self._pause):
                    end, _, _ = self._run(limit, _RESETS)
        finally:
            consoles.end_expect(name)
        if not expected.look(thoroughly=True):
            _, reason, message, _ = judge(self.platform, end, Watch(), _RESETS, self._explain)
            seen = sent(consoles.unread[name])
            raise NotSeen(f"{name} must show {expected.pattern.pattern!r}, but {message or reason}; {seen}")
        assert expected.match is not None
        return expected.match

    def send(self, data: bytes | str, *, uart: str | None = None) -> None:
        """Send input to a UART (default: the first); the software receives it when it runs."""
        self._calls.must_be_open("send()")
        name = uart or next(iter(self.uarts))
        if name not in self.uarts:
            raise MachineError(f"`uart` must be one of {', '.join(self.uarts)}, not {brief(name)}")
        self.uarts[name].receive(data.encode(errors="surrogateescape") if isinstance(data, str) else data)

    def sendline(self, text: str = "", *, uart: str | None = None, end: str = "\r") -> None:
        """Send a line and Return to a UART (default: the first)."""
        self.send(text + end, uart=uart)

    @property
    def regs(self) -> Registers:
        """The registers of the first PE."""
        return self.cpus[0].regs

    def _files(self) -> Iterable[tuple[bytes, int]]:
        secure = self._boot.get("secure_image")
        yield from (loaded(image.data, image.address or 0) for image in self._images)
        if secure is not None:
            yield loaded(secure, 0)

    def _loses(self) -> str:
        return " with what its nonvolatile memory has for files" if self._kept else ""

    def _leave(self) -> None:
        self._kept.write(self.platform.memory)

    def _unfinished(self) -> dict[str, str]:
        """The unfinished line of each UART that has one, usually a prompt."""
        return self._consoles.unfinished()

    def _pause(self, why: Reason) -> None:
        self._why = self._why or why
        self.platform.stop(why, Halt.PAUSED)

    def _within(self, timeout: float | None, silence: float | None, phase: str) -> WallLimits:
        """The limits of wall time for a boot or a run, as a block."""
        self._wall = WallLimits(timeout, silence, lambda: self._pause(Reason.LIMIT), phase)
        return self._wall

    def _heard(self) -> None:
        self._wall.heard()

    def _seen(self) -> None:
        self._pause(Reason.UNTIL)

    def _save(self) -> dict[str, bytes]:
        return self._consoles.save()

    def _load(self, data: Mapping[str, bytes]) -> None:
        self._consoles.load(data)

    def __repr__(self) -> str:
        names = " ".join(image.name for image in self._images)
        state = self.platform.stopped or ", ".join(map(repr, (cpu for cpu in self.cpus if cpu.on)))
        return f"<NsMachine {printable(self.platform.board.name)}, {names}: {state}>"


def _after(what: str, resets: Sequence[str]) -> str:
    """What a message speaks of, with the resets before it."""
    return f"{what} after reset {len(resets)}" if resets else what


def _images(images: Image | Iterable[Image]) -> list[NsImage]:
    """The images to run; raises MachineError unless each is a path, a name or an image in memory."""
    one = isinstance(images, bytes | str | os.PathLike | NsImage)
    return [_image("images", image) for image in several("images", [images] if one else images)]


def _image(name: str, value: Image, world: World = "ns-el2") -> NsImage:
    checked = image(name, value)
    if not isinstance(checked, NsImage):
        return parse_image(os.fspath(checked), world)
    octets(name, checked.data, "images of bytes")
    optional(whole)(name, checked.address)
    return checked


@contextmanager
def _interruptible(pause: Callable[[Reason], object]) -> Iterator[None]:
    """Stop the machine on Ctrl-C; a second Ctrl-C raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pause(Reason.INTERRUPTED)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
