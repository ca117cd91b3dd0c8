"""A version that never was, made from RMM 1.0: what the shapes of later versions need of the tables, all at once.

REC_AUX_COUNT is gone. GRANULE_STATES is new, and returns X1 to X7. The FID of DATA_CREATE_UNKNOWN is that of another
command with other inputs. RANGE_DELEGATE takes several SMCs: it answers INCOMPLETE with a handle, and OP_CONTINUE goes
on with it; all that it knows in between is in a granule that the Host gives for it.
"""

from dataclasses import replace
from enum import IntEnum
from typing import Any, Final, NamedTuple

from cca_arch.el3 import RMM_EL3_VERSION_2, RmmEl3
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.types import GRANULE_SIZE
from cca_rmm.base.command import Call, Check, Command, Result, loaded, table
from cca_rmm.commands.conditions import granule
from cca_rmm.objects.granule import GRANULE, State, moves
from cca_rmm.objects.words import Layout
from cca_rmm.versions.v1_0 import V1_0

__all__ = ["NEXT", "Next", "NextStatus"]

STEP: Final = 3  # granules that one SMC delegates
IN_PROGRESS: Final = 0x0B5E_55ED


class NextStatus(IntEnum):
    """Statuses, with one more."""

    SUCCESS = 0
    ERROR_INPUT = 1
    ERROR_REALM = 2
    ERROR_REC = 3
    ERROR_RTT = 4
    INCOMPLETE = 9


_GONE: Final = ("REC_AUX_COUNT", "DATA_CREATE_UNKNOWN")
Next = IntEnum(  # type: ignore[misc] # made of the enumeration before it
    "Next",
    {
        **{fid.name: int(fid) for fid in Rmi if fid.name not in _GONE},
        "GRANULE_COUNT": int(Rmi.DATA_CREATE_UNKNOWN),
        "GRANULE_STATES": 0xC400_01D0,
        "RANGE_DELEGATE": 0xC400_01D1,
        "OP_CONTINUE": 0xC400_01D2,
    },
)


class StatesCall(Call):
    """GRANULE_STATES."""

    first: int


class CountCall(Call):
    """GRANULE_COUNT."""

    state: int
    first: int
    top: int


class Operation(NamedTuple):
    """An operation under way, a word each, in the granule that is its handle."""

    mark: int
    at: int
    top: int


OPERATION: Final = Layout(Operation)


class RangeCall(Call):
    """RANGE_DELEGATE."""

    first: int
    top: int
    memory: int


class ContinueCall(Call):
    """OP_CONTINUE."""

    handle: int

    @loaded
    def operation(self) -> Operation:
        """What is under way."""
        return OPERATION.load(self.rmm.port, self.handle)


def granule_states(call: StatesCall) -> Result:
    """X1 to X7."""
    return (0, *(call.rmm.granules.state(call.first + number * GRANULE_SIZE) for number in range(7)))


def granule_count(call: CountCall) -> Result:
    """How many granules of [first, top) are in a state."""
    states = [call.rmm.granules.state(pa) for pa in range(call.first, call.top, GRANULE_SIZE)]
    return 0, states.count(call.state)


def range_delegate(call: RangeCall) -> Result:
    """Begin: nothing is delegated yet."""
    OPERATION.create(call.rmm.port, call.memory, Operation(IN_PROGRESS, call.first, call.top))
    return NextStatus.INCOMPLETE, call.memory


def op_continue(call: ContinueCall) -> Result:
    """A step; the last one gives the granule back as it was."""
    rmm, operation = call.rmm, call.operation
    at = operation.at
    for pa in range(at, min(operation.top, at + STEP * GRANULE_SIZE), GRANULE_SIZE):
        call.pe.smc(RmmEl3.GTSI_DELEGATE, pa)
        rmm.granules.move(call.pe, pa, "RANGE_DELEGATE")
        at = pa + GRANULE_SIZE
    if at < operation.top:
        OPERATION.write(rmm.port, call.handle, at=at)
        return NextStatus.INCOMPLETE, 0
    rmm.port.zero(call.handle, GRANULE_SIZE)
    return 0, at


ROWS: Final[tuple[Command[Any], ...]] = (
    Command[StatesCall](
        Next.GRANULE_STATES, "GRANULE_STATES", StatesCall, granule_states,
        tuple(f"state{number}" for number in range(7)), (Check("align", lambda c: c.first % GRANULE_SIZE),),
    ),
    Command[CountCall](
        Next.GRANULE_COUNT, "GRANULE_COUNT", CountCall, granule_count, ("count",),
        (Check("size", lambda c: c.top <= c.first),),
    ),
    Command[RangeCall](
        Next.RANGE_DELEGATE, "RANGE_DELEGATE", RangeCall, range_delegate, ("handle",),
        granule("memory", State.DELEGATED),
    ),
    Command[ContinueCall](
        Next.OP_CONTINUE, "OP_CONTINUE", ContinueCall, op_continue, ("top",),
        (
            *granule("handle", State.DELEGATED),
            Check("handle_unknown", lambda c: c.operation.mark != IN_PROGRESS),
        ),
    ),
)  # fmt: skip

NEXT: Final = replace(
    V1_0,
    name="next",
    rmi=0x2_0000,
    el3=RMM_EL3_VERSION_2,
    statuses=NextStatus,
    moves=moves({**GRANULE, (State.UNDELEGATED, "RANGE_DELEGATE"): State.DELEGATED}),
    abi=Next,
    commands=table([row for row in V1_0.commands.values() if row.name not in _GONE], ROWS),
)
