"""The Secure payload dispatcher: a payload at S-EL1 on each PE, and the events that the monitor passes to it.

The interface is that of TF-A's dispatcher for its test payload (TSPD), with its numbers in :mod:`cca_arch.tsp`, and
FF-A. This module routes interrupts and combines the services: the start (:mod:`~cca_firmware.secure.start`), calls
(:mod:`~cca_firmware.secure.calls`), messages (:mod:`~cca_firmware.secure.ffa`) and power
(:mod:`~cca_firmware.secure.power`), all of them on the world's state and its switch
(:mod:`~cca_firmware.secure.world`). A machine without a Secure payload has none of this.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.tsp import HANDLE_SEL1_INTR, Tsp, TspVector
from cca_arch.types import SecurityState
from cca_firmware.bl31.functions import Handler, unknown
from cca_firmware.secure.calls import TosCalls
from cca_firmware.secure.ffa import FfaService
from cca_firmware.secure.power import PowerCalls
from cca_firmware.secure.start import PayloadStart
from cca_firmware.secure.world import PREEMPTIBLE, SecureState, SecureWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from cca_firmware.bl31.contexts import Contexts
    from cca_firmware.bl31.psci import PsciService
    from cca_platform.board import Region
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["SecureDispatcher"]

_SECURE: Final = SecurityState.SECURE


class SecureDispatcher:
    """The services around the payload in ``region``. ``psci`` is PSCI without it, and
    ``then(pe, hand_over)`` continues with a PE on which the payload has started (see :class:`PayloadStart`).

    ``ns_handlers`` and ``secure_handlers`` are the functions that the worlds may call, ``ns_other`` and
    ``secure_other`` handle all other calls.
    """

    def __init__(
        self,
        machine: "Machine",
        contexts: "Contexts",
        region: "Region",
        ns_is_code: bool,
        psci: "PsciService",
        then: "Callable[[Pe, tuple[int, int] | None], None]",
    ) -> None:
        self._machine = machine
        self.world = world = SecureWorld(machine, contexts, ns_is_code)
        self.start = start = PayloadStart(world, region, then)
        self._calls = calls = TosCalls(world, start, machine.board)
        self._ffa = ffa = FfaService(world, start, len(machine.pes))
        power = PowerCalls(world, psci, calls.aborted)
        interrupts: dict[int, Handler] = {
            Tsp.PREEMPTED: self._gives_up,
            Tsp.HANDLED_S_EL1_INTR: self._interrupt_handled,
        }
        self.ns_handlers: dict[int, Handler] = {**calls.ns_handlers, **power.handlers, **ffa.ns_handlers}
        self.secure_handlers: dict[int, Handler] = {
            **calls.secure_handlers,
            **power.secure_handlers,
            **interrupts,
            **ffa.secure_handlers,
        }

    @property
    def state(self) -> list[SecureState]:
        """What the payload does on each PE."""
        return self.world.state

    @property
    def ready(self) -> bool:
        """True if the payload serves calls."""
        return self.world.ready

    def ns_other(self, pe: "Pe", x: memoryview) -> None:
        """Handle a call from Non-secure software that has no other handler."""
        self._calls.ns_other(pe, x)

    def secure_other(self, pe: "Pe", x: memoryview) -> None:
        """Handle a call from the payload that has no other handler."""
        self._calls.secure_other(pe, x)

    # -- interrupts ---------------------------------------------------------------------------------------------------
    def on_interrupt(self, pe: "Pe") -> None:
        """Handle an FIQ to EL3: an interrupt of a world other than the running one."""
        world, state = self.world, self.world.state[pe.index]
        if pe.security == _SECURE and state in PREEMPTIBLE:
            self._preempt(pe)
        elif pe.security != _SECURE and world.vectors and state is not SecureState.OFF:
            world.interrupted(pe)
            world.enter(pe, SecureState.INTERRUPT, TspVector.SEL1_INTR, HANDLE_SEL1_INTR, pe.elr)
        else:
            self._machine.stop(f"EL3 panic: a Secure interrupt that nobody handles on PE {pe.index}")

    def _preempt(self, pe: "Pe") -> None:
        """Preempt the payload for Non-secure software; each kind of call tells its caller in its own way."""
        service = self._ffa if self.world.state[pe.index] is SecureState.MESSAGE else self._calls
        service.preempted(pe)

    def _gives_up(self, pe: "Pe", x: memoryview) -> None:
        if self.world.state[pe.index] in PREEMPTIBLE:
            self._preempt(pe)
        else:
            unknown(pe, x)

    def _interrupt_handled(self, pe: "Pe", x: memoryview) -> None:
        if self.world.state[pe.index] is SecureState.INTERRUPT:
            self.world.resume_interrupted(pe, Tsp.HANDLED_S_EL1_INTR.name)
        else:
            unknown(pe, x)
