"""Commands as data: a row declares inputs, outputs, failure conditions in order, and the handler.

A class declares what a call has: the inputs by name, in register order, and the context, which is loaded on first
use::

    class RealmCall(Call):
        rd: int

        @loaded
        def realm(self) -> Realm:
            return REALM.load(self.rmm.port, self.rd)

A row of the RMI, RSI or PSCI table names that class::

    Command[RealmCall](
        Rmi.REALM_ACTIVATE, "REALM_ACTIVATE", RealmCall, realm_activate,
        checks=(*granule("rd", State.RD), Check("realm_state", not_new, REALM_ERROR)),
    )

``checks`` are the failure conditions, with the specification's identifiers, in the order in which they are tried. A
condition has no side effects. The handler runs if none holds; it cannot fail, except where EL3 decides (see
:class:`Refusal`). Dispatch, traces, the manual and the conformance tests read the row.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import get_annotations
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NewType, Self, TypeVar, overload

from msgspec import Struct

from cca_arch.rmi.v1_0 import RmiStatus
from cca_arch.smccc import Fid, Owner

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_rmm.base.core import Core

__all__ = ["Call", "Check", "Command", "Condition", "Refusal", "Result", "Signed", "execute", "loaded", "table"]

Result = tuple[int, ...]
"""X0, X1, ... of a completed command."""
Signed = NewType("Signed", int)
"""A signed 64-bit input."""
INPUT: Final = RmiStatus.ERROR_INPUT
"""The status of most conditions."""
_VENDORS: Final = (Owner.VENDOR_HYP, Owner.TRUSTED_APPLICATION)

T = TypeVar("T")


class loaded(Generic[T]):
    """Context of a call: the method loads it on first use, once per call."""

    def __init__(self, load: Callable[[Any], T]) -> None:
        self._load = load
        self._name = "?"
        self.__doc__ = load.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, call: None, owner: type) -> Self: ...
    @overload
    def __get__(self, call: "Call", owner: type) -> T: ...
    def __get__(self, call: "Call | None", owner: type) -> Any:
        if call is None:
            return self
        value = self._load(call)
        setattr(call, self._name, value)  # later uses find it there
        return value


class Call:
    """One call. A subclass declares the inputs of its commands (X1, X2, ... by name) and their context.

    ``x`` are X0 and up of the caller.
    """

    ins: ClassVar[tuple[str, ...]] = ()
    """The inputs by name: the annotations of the class itself, or those of the class above it if it has none."""

    told: ClassVar[Callable[[Sequence[int]], dict[str, str]]] = staticmethod(lambda x: {})
    """The inputs in ``x`` by name, as the trace tells them."""

    rmm: "Core"
    pe: "Pe"
    command: "Command[Any]"
    x: Sequence[int]
    failed: str | None = None
    """The failure condition that held, if any."""

    def __init__(self, rmm: "Core", pe: "Pe", command: "Command[Any]", x: Sequence[int]) -> None:
        self.rmm = rmm
        self.pe = pe
        self.command = command
        self.x = x

    def __init_subclass__(cls) -> None:
        inputs = get_annotations(cls)
        if inputs:
            cls.ins = tuple(inputs)
            setattr(cls, "__init__", _initializer(inputs))  # noqa: B010 (a method that is made here)
            cls.told = staticmethod(_teller(inputs))


def _initializer(inputs: Mapping[str, object]) -> Callable[..., None]:
    """Generate an ``__init__`` that takes the inputs from ``x``, as dataclasses do, because calls are frequent."""
    lines = ["self.rmm = rmm", "self.pe = pe", "self.command = command", "self.x = x"]
    for number, (name, kind) in enumerate(inputs.items(), 1):
        lines.append(f"self.{name} = x[{number}]" + f" - (x[{number}] >> 63 << 64)" * (kind is Signed))
    scope: dict[str, Callable[..., None]] = {}
    exec(f"def __init__(self, rmm, pe, command, x):\n {'; '.join(lines)}", scope)
    return scope["__init__"]


def _teller(inputs: Collection[str]) -> Callable[[Sequence[int]], dict[str, str]]:
    """Generate the function that tells the trace of the inputs in ``x``."""
    scope: dict[str, Callable[[Sequence[int]], dict[str, str]]] = {}
    parts = ", ".join(f"{name!r}: hex(x[{number}])" for number, name in enumerate(inputs, 1))
    exec(f"def told(x): return {{{parts}}}", scope)
    return scope["told"]


C = TypeVar("C", bound=Call)
C_contra = TypeVar("C_contra", bound=Call, contravariant=True)


class Condition(Generic[C_contra]):
    """A failure condition. If it holds, X0 is ``status | index << 8``.

    ``result_index`` and ``outputs`` (X1, X2, ...) are set where the specification defines them.
    """

    __slots__ = ()
    id: str
    status: int
    result_index: Callable[[C_contra], int] | None
    outputs: Callable[[C_contra], Result] | None

    def answer(self, call: C_contra) -> Result:
        """The result of a call for which this condition holds."""
        status = self.status if self.result_index is None else self.status | (self.result_index(call) & 0xFF) << 8
        return (int(status),) if self.outputs is None else (int(status), *self.outputs(call))


class Check(Condition[C_contra], Struct, frozen=True):
    """A condition tested before the handler runs. ``fails(call)`` is true if it holds; it has no side effects.

    Checks that stand side by side can share a ``screen``: while that is false, none of them holds, and none is asked.
    """

    id: str
    fails: Callable[[C_contra], object]
    status: int = INPUT
    result_index: Callable[[C_contra], int] | None = None
    outputs: Callable[[C_contra], Result] | None = None
    screen: Callable[[C_contra], object] | None = None


class Refusal(Condition[Call], Struct, frozen=True):
    """A condition that EL3 decides. The handler tries the act and returns the condition, having changed nothing."""

    id: str
    status: int = INPUT
    result_index: Callable[[Call], int] | None = None
    outputs: Callable[[Call], Result] | None = None


@dataclass(frozen=True)
class Command(Generic[C]):
    """A row of a command table. ``outs`` names X1, X2, ... of the result."""

    fid: int
    name: str
    call: type[C]
    handler: Callable[[C], "Result | Refusal | None"]
    """Commits; returns X0, X1, ..., one of ``refusals``, or None if the result comes later."""
    outs: tuple[str, ...] = ()
    checks: tuple[Check[C], ...] = ()
    refusals: tuple[Refusal, ...] = ()
    width: int = field(init=False, repr=False, compare=False)
    """The number of result registers that the command defines: at least X0 to X3."""
    steps: "tuple[tuple[Callable[[C], object], tuple[Check[C], ...]], ...]" = field(
        init=False, repr=False, compare=False
    )
    """What is asked of a call in turn, and the checks of which one may hold if the answer is true."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", max(len(self.outs), 3) + 1)
        runs = (tuple(run) for _, run in groupby(self.checks, lambda check: check.screen or check.fails))
        object.__setattr__(self, "steps", tuple((run[0].screen or run[0].fails, run) for run in runs))

    @property
    def ins(self) -> tuple[str, ...]:
        """The names of X1, X2, ..."""
        return self.call.ins

    def title(self, interface: str) -> str:
        """The name with the prefix of its ``interface``; extensions, in vendors' ranges, have none."""
        return self.name if Fid(self.fid).owner in _VENDORS else interface + self.name

    @property
    def conditions(self) -> "tuple[Condition[Any], ...]":
        """Every failure condition in the order of the specification."""
        return (*self.checks, *self.refusals)

    def check(self, id: str) -> Check[C]:
        """The check with this identifier; raises KeyError if there is none."""
        for check in self.checks:
            if check.id == id:
                return check
        raise KeyError(f"{self.name} has no check {id!r}")


def execute(call: Call) -> Result | None:
    """Try the failure conditions in order, then commit."""
    command = call.command
    for may_fail, checks in command.steps:
        if may_fail(call):
            check = checks[0] if checks[0].screen is None else _holds(call, checks)
            if check is not None:
                call.failed = check.id
                return check.answer(call)
    result = command.handler(call)
    if isinstance(result, Refusal):
        call.failed = result.id
        return result.answer(call)
    return result


def _holds(call: Call, checks: Sequence[Check[Any]]) -> Check[Any] | None:
    """The first of these conditions that holds."""
    for check in checks:
        if check.fails(call):
            return check
    return None


def table(*parts: Sequence[Command[Any]]) -> dict[int, Command[Any]]:
    """Collect the rows of several modules into FID -> row; each FID has one row."""
    rows = [row for part in parts for row in part]
    found = {int(row.fid): row for row in rows}
    assert len(found) == len(rows), "a command table must have one row for each FID"
    return found
