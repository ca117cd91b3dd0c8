"""Calls between Non-secure software and the payload, by the rules of TF-A's dispatcher for its test payload (TSPD).

Calls of the Trusted OS owners enter the payload at a vector; the payload returns by SMC with the same function
identifier. A yielding call can be preempted: an interrupt of Non-secure software goes to EL3 as FIQ, and the caller
gets PREEMPTED. RESUME continues the payload; ABORT abandons the call.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.smccc import FUNCTION, Fid, Owner, Query, query
from cca_arch.tsp import ABORT, PREEMPTED, RESUME, SMC64, TOS_OWNERS, Tsp, TspVector
from cca_firmware.bl31.functions import Handler, unknown
from cca_firmware.bl31.services import uid_handler
from cca_firmware.secure.world import ARGUMENTS, SecureState, SecureWorld

if TYPE_CHECKING:
    from cca_firmware.secure.start import PayloadStart
    from cca_platform.board import Board
    from cca_platform.pe.pe import Pe

__all__ = ["TosCalls"]

_W: Final = 0xFFFF_FFFF


class TosCalls:
    """Handlers for both sides: by function, ``ns_other`` for other calls from Non-secure software, ``secure_other`` for
    other calls from the payload.
    """

    def __init__(self, world: SecureWorld, start: "PayloadStart", board: "Board") -> None:
        self._world = world
        self._start = start
        self._answer_uid = uid_handler(board, Owner.TRUSTED_OS)
        self.ns_handlers: dict[int, Handler] = {
            **dict.fromkeys(map(int, Tsp), unknown),
            **dict.fromkeys((RESUME, RESUME | SMC64), self._resume),
            **dict.fromkeys((ABORT, ABORT | SMC64), self._abort),
            query(Owner.TRUSTED_OS, Query.UID): self._uid,
        }
        self.secure_handlers: dict[int, Handler] = {
            Tsp.ENTRY_DONE: self._started,
            Tsp.ON_DONE: self._started,
            Tsp.GET_ARGS: self._get_args,
        }

    # -- Non-secure software ------------------------------------------------------------------------------------------
    def ns_other(self, pe: "Pe", x: memoryview) -> None:
        """Handle a function without a handler: calls of the Trusted OS go to the payload."""
        world, fid = self._world, Fid(x[0] & FUNCTION)
        idle = world.vectors and world.state[pe.index] is SecureState.IDLE
        if not idle or fid.owner not in TOS_OWNERS or fid.zero:
            unknown(pe, x)
            return
        world.called(pe, x)
        if fid.fast:
            world.enter(pe, SecureState.FAST, TspVector.FAST_SMC, *x[:ARGUMENTS])
        else:
            world.enter(pe, SecureState.YIELDING, TspVector.YIELD_SMC, *x[:ARGUMENTS])

    def _uid(self, pe: "Pe", x: memoryview) -> None:
        """Answer the UID of the Trusted OS without it, so that software finds it whatever it does at the moment."""
        handler = self._answer_uid if self._world.vectors else unknown
        handler(pe, x)

    def _resume(self, pe: "Pe", x: memoryview) -> None:
        if self._world.state[pe.index] is SecureState.PREEMPTED:
            self._world.enter(pe, SecureState.YIELDING, None)
        else:
            unknown(pe, x)

    def _abort(self, pe: "Pe", x: memoryview) -> None:
        if self._world.state[pe.index] is SecureState.PREEMPTED:
            self._world.enter(pe, SecureState.ABORTING, TspVector.ABORT_YIELD_SMC, x[0])
        else:
            unknown(pe, x)

    # -- the payload --------------------------------------------------------------------------------------------------
    def secure_other(self, pe: "Pe", x: memoryview) -> None:
        """Handle a function without a handler: that of the call in progress returns results in X1..X4."""
        world = self._world
        called = world.state[pe.index] in (SecureState.FAST, SecureState.YIELDING)
        if called and (x[0] ^ world.caller(pe)[0]) & FUNCTION == 0:
            world.leave(pe, SecureState.IDLE, *x[1:5])
        else:
            unknown(pe, x)

    def _started(self, pe: "Pe", x: memoryview) -> None:
        """Handle ENTRY_DONE, with the vectors in X1 unless they are already known."""
        if not self._start.on(pe):
            unknown(pe, x)
            return
        if x[0] & _W == Tsp.ENTRY_DONE and not self._world.vectors:
            self._world.vectors = x[1]
        self._start.done(pe, bool(self._world.vectors))

    def _get_args(self, pe: "Pe", x: memoryview) -> None:
        x[0:2] = self._world.caller(pe)[1:3]

    def aborted(self, pe: "Pe", x: memoryview) -> None:
        """Handle ABORT_DONE: the call that ABORT has dropped."""
        if self._world.state[pe.index] is SecureState.ABORTING:
            self._world.leave(pe, SecureState.IDLE, 0)
        else:
            unknown(pe, x)

    def preempted(self, pe: "Pe") -> None:
        """Preempt a yielding call for an interrupt of Non-secure software."""
        self._world.leave(pe, SecureState.PREEMPTED, PREEMPTED)
