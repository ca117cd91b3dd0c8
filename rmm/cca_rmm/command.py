"""Commands as data: a row says what goes in and out, what makes it fail in which order, and what it does.

A row of the RMI, RSI or PSCI table::

    Command(Rmi.REALM_ACTIVATE, "REALM_ACTIVATE", realm_activate,
            ins=("rd",), context={"realm": realm_at("rd")},
            checks=(*granule("rd", State.RD), Check("realm_state", not_new, REALM)))

``checks`` are the failure conditions under their identifiers of the specification, in the order in which they are
tried; a condition only looks. The handler runs when none holds; it cannot fail, but where EL3 has the last word (see
:class:`Refusal`). Dispatch, traces, the manual and the conformance tests read the row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from cca_arch.fields import Record
from cca_arch.rmi.v1_0 import RmiStatus
from cca_arch.types import GRANULE_SIZE
from cca_platform.errors import BusError, GranuleProtectionFault
from cca_platform.memory.ports import Port
from cca_rmm.objects.granule import State
from cca_rmm.objects.realm import REALM, Realm
from cca_rmm.objects.rec import REC, Rec
from cca_rmm.objects.rtt import Walk, walk

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_rmm.commands.attestation import Attest
    from cca_rmm.rmm import Rmm

__all__ = [
    "INPUT",
    "REALM_ERROR",
    "REC_ERROR",
    "RTT",
    "Call",
    "Check",
    "Command",
    "Condition",
    "Refusal",
    "Result",
    "execute",
    "granule",
    "ns_page",
    "realm_at",
    "rec_at",
    "walk_at",
]

INPUT: Final = RmiStatus.ERROR_INPUT
REALM_ERROR: Final = RmiStatus.ERROR_REALM
REC_ERROR: Final = RmiStatus.ERROR_REC
RTT: Final = RmiStatus.ERROR_RTT

Result = tuple[int, ...]
"""X0, X1, ... of a command that completes."""


T = TypeVar("T")


class Loaded(Generic[T]):
    """What the row's context loads when it is first asked for. An argument of the same name takes its place."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, call: "Call", owner: type) -> T:
        name = self._name
        value: T = call.command.context[name](call)
        call.__dict__[name] = value  # the next time it is found there
        return value


class Call:
    """One call: the arguments under their names, and the context of its row."""

    rmm: "Rmm"
    pe: "Pe"
    command: "Command"
    failed: str | None = None
    """The failure condition that refused the call."""
    # arguments
    addr: int
    base: int
    calling_rec: int
    data: int
    desc: int
    entry_point: int
    fid: int
    index: int
    ipa: int
    level: int
    lowest_affinity_level: int
    offset: int
    params_ptr: int
    rd: int
    rec: int
    req: int
    ripas: int
    rtt: int
    run_ptr: int
    size: int
    src: int
    status: int
    target: int
    target_rec: int
    top: int
    x4: int
    # context
    realm = Loaded[Realm]()
    rec_ = Loaded[Rec]()
    target_ = Loaded[Rec]()
    requested = Loaded[tuple[int, ...]]()  # X0..X3 of the calling REC
    w = Loaded[Walk]()
    content = Loaded[bytes | None]()  # of Non-secure memory; None: it is not Non-secure
    params = Loaded[Record]()
    flags = Loaded[int]()
    attest: "Loaded[Attest]" = Loaded()

    def __init__(self, rmm: "Rmm", pe: "Pe", command: "Command", x: "memoryview[int] | list[int]") -> None:
        self.rmm = rmm
        self.pe = pe
        self.command = command
        values = self.__dict__
        for name, value in zip(command.ins, x, strict=False):
            values[name] = value
        if command.signed is not None:
            values[command.signed] -= (values[command.signed] >> 63) << 64


class Condition:
    """A failure condition: X0 of the call that it refuses is ``status | index << 8``.

    ``result_index`` and ``outputs`` (X1, X2, ...) are given where the specification names them.
    """

    __slots__ = ()
    id: str
    status: int
    result_index: Callable[[Call], int] | None
    outputs: Callable[[Call], Result] | None

    def answer(self, call: Call) -> Result:
        """The result of the call that this condition refuses."""
        status = self.status if self.result_index is None else self.status | (self.result_index(call) & 0xFF) << 8
        return (int(status),) if self.outputs is None else (int(status), *self.outputs(call))


@dataclass(frozen=True, slots=True)
class Check(Condition):
    """A condition that is asked before the handler runs: ``fails(call)`` is true when it holds. It only looks."""

    id: str
    fails: Callable[[Call], object]
    status: int = INPUT
    result_index: Callable[[Call], int] | None = None
    outputs: Callable[[Call], Result] | None = None


@dataclass(frozen=True, slots=True)
class Refusal(Condition):
    """A condition that only the act can tell, because EL3 decides: the handler returns it, having done nothing."""

    id: str
    status: int = INPUT
    result_index: Callable[[Call], int] | None = None
    outputs: Callable[[Call], Result] | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A row of a command table. ``ins`` names X1, X2, ...; ``outs`` names X1, X2, ... of the answer."""

    fid: int
    name: str
    handler: Callable[[Call], "Result | Refusal | None"] | None
    """Commits; returns X0, X1, ..., one of ``refusals``, or None when the answer comes later. None: this RMM answers
    NOT_SUPPORTED."""
    ins: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    context: Mapping[str, Callable[[Call], Any]] = field(default_factory=dict)
    signed: str | None = None
    refusals: tuple[Refusal, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Every failure condition in the order of the specification."""
        return (*self.checks, *self.refusals)

    def check(self, id: str) -> Check:
        """The check with this identifier; KeyError when there is none."""
        for check in self.checks:
            if check.id == id:
                return check
        raise KeyError(f"{self.name} has no check {id!r}")


def execute(call: Call) -> Result | None:
    """Try the failure conditions in order, then commit."""
    command = call.command
    for check in command.checks:
        if check.fails(call):
            call.failed = check.id
            return check.answer(call)
    assert command.handler is not None
    result = command.handler(call)
    if isinstance(result, Refusal):
        call.failed = result.id
        return result.answer(call)
    return result


# -- conditions that many commands share --------------------------------------------------------------------------
def granule(argument: str, state: State, prefix: str | None = None, last: str = "state") -> tuple[Check, ...]:
    """align, bound and state of a granule argument: ``<prefix>_align``, ``<prefix>_bound``, ``<prefix>_<last>``."""
    prefix = argument if prefix is None else prefix
    offset_mask, wanted = GRANULE_SIZE - 1, int(state)
    get = attrgetter(argument)

    def misaligned(call: Call) -> int:
        pa: int = get(call)
        return pa & offset_mask

    def untracked(call: Call) -> bool:
        return not call.rmm.granules.slot(get(call))

    def wrong_state(call: Call) -> bool:
        return call.rmm.granules.state(get(call)) != wanted

    return (
        Check(f"{prefix}_align", misaligned),
        Check(f"{prefix}_bound", untracked),
        Check(f"{prefix}_{last}", wrong_state),
    )


def realm_at(argument: str) -> Callable[[Call], Realm]:
    """Context: the Realm whose RD an argument names."""
    get = attrgetter(argument)
    return lambda call: REALM.load(call.rmm.port, get(call))


def rec_at(argument: str) -> Callable[[Call], Rec]:
    """Context: the REC that an argument names."""
    get = attrgetter(argument)
    return lambda call: REC.load(call.rmm.port, get(call))


def walk_at(ipa: str, level: Callable[[Call], int]) -> Callable[[Call], Walk]:
    """Context: the walk of ``call.realm`` for an argument toward a level."""
    get = attrgetter(ipa)
    return lambda call: walk(call.rmm.port, call.realm, get(call), level(call))


def ns_page(argument: str, offset: int = 0, size: int = GRANULE_SIZE) -> Callable[[Call], bytes | None]:
    """Context: bytes of a Non-secure granule, read once; None when the access through the NS PAS faults."""
    get = attrgetter(argument)

    def read(call: Call) -> bytes | None:
        ns: Port = call.rmm.ns
        try:
            return ns.read(get(call) + offset, size)
        except (GranuleProtectionFault, BusError):
            return None

    return read
