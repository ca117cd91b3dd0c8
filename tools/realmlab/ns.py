"""A machine whose Non-secure software is real code: firmware-level payloads at EL2 or EL1, as on the board itself."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Unpack

from cca_firmware.bl2.boot import Firmware, boot
from cca_firmware.bl2.nsimage import NsImage
from cca_platform.devices.pl011 import Pl011
from cca_platform.errors import MachineError, MachineStopped
from cca_platform.machine.board import Bank
from cca_platform.machine.machine import InstructionLimit
from cca_platform.machine.machine import Machine as Platform
from cca_platform.trace.events import RunStart, RunStop
from cca_rmm.rmm import Rmm

from .console import SEEN, Consoles, Watch
from .images import parse_image
from .nsresult import INTERRUPTED, LIMIT, RESET, NsResult, judge
from .options import BOARD, NsMachineOptions, NsRunOptions, read, takes
from .session import Session

__all__ = ["NsMachine"]

Image = str | os.PathLike[str] | NsImage


class NsMachine(Session):
    """A board, booted by the trusted firmware, with real code at Non-secure EL2: yours.

    ``images`` is what is loaded: each the path of an ELF file (it goes where its program headers say) or of a raw
    image, ``FILE@ADDRESS``, the name of a bundled payload, or an ``NsImage``. The first ELF file says where they start,
    else the first raw image, or ``entry``. Code that starts at EL1 has nothing above it. ``nonvolatile`` are ranges of
    DRAM: (base, size), or ``BASE:SIZE`` with units. MachineError says what cannot be had, and how to mend it.

    ::

        with realmlab.NsMachine("rmi") as machine:
            result = machine.run(expect=["0 failed"], max_insns=10_000_000)
            print(result.console.decode(), result.status)
    """

    firmware: Firmware
    """What the last boot left behind."""

    @takes(NsMachineOptions)
    def __init__(
        self, images: Image | Iterable[Image], *, board: str = BOARD.default, **options: Unpack[NsMachineOptions]
    ) -> None:
        given = read(NsMachineOptions, options)
        several = [images] if isinstance(images, str | os.PathLike | NsImage) else list(images)
        self._images = [one if isinstance(one, NsImage) else parse_image(os.fspath(one)) for one in several]
        if not self._images:
            raise MachineError("there must be an image to run, not none")
        self._boot: dict[str, Any] = {"ns_images": self._images, "ns_entry": given["entry"], "ns_el": given["el"]}
        if given["secure"] is not None:
            image = parse_image(os.fspath(given["secure"]))
            if image.address is not None:
                raise MachineError(f"the Secure image must have no address, not {image.address:#x}: the board has it")
            self._boot["secure_image"] = image.data
        super().__init__(board, given["trace"], given["clock"])
        kept = (Bank(base, size) for base, size in given["nonvolatile"])
        self._consoles = Consoles(self.platform)
        try:
            self.platform.nonvolatile = (*self.platform.board.nonvolatile, *kept)
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        """Boot from reset."""
        self.firmware = boot(self.platform, rmm=Rmm(self.platform), **self._boot)

    @property
    def uarts(self) -> Mapping[str, Pl011]:
        """The UARTs by name, in the order of the board: ``uarts["uart0"].receive(b"...")`` is input."""
        return self._consoles.uarts

    @takes(NsRunOptions)
    def run(self, **options: Unpack[NsRunOptions]) -> NsResult:
        """Run until the software turns the system off, and boot again when it resets it; or to one of the ends below.

        ``until``: a line of a console contains this text. ``reject``: a line matches one of these regular expressions;
        ``expect`` are those that have to appear by the end. ``max_insns``: so many instructions are retired on all PEs.
        ``max_resets``: there is one reset more; with 0 that is a plain end. ``on_output(uart, bytes)`` gets what the
        UARTs send as it comes. After ``until`` or a limit the next call goes on.
        """
        given = read(NsRunOptions, options)
        max_insns, max_resets = given["max_insns"], given["max_resets"]
        watch = Watch(given["until"], given["expect"], given["reject"])
        platform, consoles = self.platform, self._consoles
        consoles.start(watch, given["on_output"])
        if self.trace.on:
            names = " ".join(image.name for image in self._images)
            self.trace.emit(RunStart(board=platform.board.name, payload=names, clock=platform.clock.mode))
        if platform.stopped in (SEEN, INTERRUPTED):
            platform.stopped = None
        start, ticks = perf_counter(), platform.clock.now
        with _interruptible(platform):
            end, retired, resets = self._run(max_insns, max_resets)
        if end == LIMIT:
            end = f"{LIMIT} of {max_insns} instructions is reached"
        consoles.end_lines()
        status, reason, message = judge(platform, end, watch, max_resets)
        if self.trace.on:
            self.trace.emit(RunStop(reason=reason, status=status, instructions=sum(retired)))
        return NsResult(
            status=status,
            reason=reason,
            message=message,
            consoles={name: bytes(sent) for name, sent in consoles.sent.items()},
            missing=watch.missing,
            resets=resets,
            unclaimed=platform.bus.unclaimed,
            retired=retired,
            ticks=platform.clock.now - ticks,
            counter_hz=platform.board.counter_hz,
            wall_seconds=perf_counter() - start,
        )

    def _run(self, max_insns: int | None, max_resets: int) -> tuple[str, list[int], list[str]]:
        """(why the machine stopped for good, instructions of each PE, resets)."""
        platform, resets = self.platform, list[str]()
        retired = [0] * len(platform.pes)
        while True:
            before = [pe.retired for pe in platform.pes]
            end = self._run_on(None if max_insns is None else max_insns - sum(retired))
            for index, pe in enumerate(platform.pes):
                retired[index] += pe.retired - before[index]
            if end.startswith(RESET):
                resets.append(end.removeprefix(RESET).removeprefix(": "))
            if not end.startswith(RESET) or len(resets) > max_resets:
                return end, retired, resets
            platform.reset(resets[-1])
            self._start()

    def _run_on(self, max_insns: int | None) -> str:
        """Let the machine run; why it stopped."""
        try:
            return self.platform.run(max_insns) if max_insns is None or max_insns > 0 else LIMIT
        except InstructionLimit:
            return LIMIT
        except MachineStopped as stopped:
            return str(stopped)


@contextmanager
def _interruptible(platform: Platform) -> Iterator[None]:
    """Ctrl-C stops the machine where it is; a second one raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        platform.stop(INTERRUPTED)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
