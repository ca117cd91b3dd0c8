"""Commands as data: a row says what goes in and out, what makes it fail in which order, and what it does.

What a call has is declared in a class of its own: the inputs by name, in the order of the registers, and the context,
which is loaded when it is first asked for::

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

``checks`` are the failure conditions under their identifiers of the specification, in the order in which they are
tried; a condition only looks. The handler runs when none holds; it cannot fail, but where EL3 has the last word (see
:class:`Refusal`). Dispatch, traces, the manual and the conformance tests read the row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NewType, Self, TypeVar, overload

from cca_arch.rmi.v1_0 import RmiStatus

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_rmm.base.core import Core

__all__ = ["Call", "Check", "Command", "Condition", "Refusal", "Result", "Signed", "execute", "loaded", "table"]

Result = tuple[int, ...]
"""X0, X1, ... of a command that completes."""
Signed = NewType("Signed", int)
"""An input that is a signed 64-bit number."""
INPUT: Final = RmiStatus.ERROR_INPUT
"""The status of most conditions."""

T = TypeVar("T")


class loaded(Generic[T]):
    """Context of a call: what the method loads when it is first asked for, and never again in this call."""

    def __init__(self, load: Callable[[Any], T]) -> None:
        self._load = load
        self._name = load.__name__
        self.__doc__ = load.__doc__

    @overload
    def __get__(self, call: None, owner: type) -> Self: ...
    @overload
    def __get__(self, call: "Call", owner: type) -> T: ...
    def __get__(self, call: "Call | None", owner: type) -> Any:
        if call is None:
            return self
        value = self._load(call)
        setattr(call, self._name, value)  # the next time it is found there
        return value


class Call:
    """One call. A subclass declares what its commands have: X1, X2, ... by name, and their context.

    ``kept`` are X4 and up of the Host, which come back unless a command writes them.
    """

    ins: ClassVar[tuple[str, ...]] = ()
    """The inputs by name: the annotations of the class itself, or those of the class above it if it has none."""

    rmm: "Core"
    pe: "Pe"
    command: "Command[Any]"
    kept: Sequence[int]
    failed: str | None = None
    """The failure condition that refused the call."""

    def __init__(
        self, rmm: "Core", pe: "Pe", command: "Command[Any]", x: Sequence[int], kept: Sequence[int] = ()
    ) -> None:
        self.rmm = rmm
        self.pe = pe
        self.command = command
        self.kept = kept

    def __init_subclass__(cls) -> None:
        inputs = get_annotations(cls)
        if inputs:
            cls.ins = tuple(inputs)
            setattr(cls, "__init__", _initializer(inputs))  # noqa: B010 (a method that is made here)


def _initializer(inputs: Mapping[str, object]) -> Callable[..., None]:
    """An ``__init__`` that takes the inputs from ``x``: written out, as dataclasses do it, for a call is made often."""
    lines = ["self.rmm = rmm", "self.pe = pe", "self.command = command", "self.kept = kept"]
    for number, (name, kind) in enumerate(inputs.items()):
        lines.append(f"self.{name} = x[{number}]" + f" - (x[{number}] >> 63 << 64)" * (kind is Signed))
    scope: dict[str, Callable[..., None]] = {}
    exec(f"def __init__(self, rmm, pe, command, x, kept=()):\n {'; '.join(lines)}", scope)
    return scope["__init__"]


C = TypeVar("C", bound=Call)
C_contra = TypeVar("C_contra", bound=Call, contravariant=True)


class Condition(Generic[C_contra]):
    """A failure condition: X0 of the call that it refuses is ``status | index << 8``.

    ``result_index`` and ``outputs`` (X1, X2, ...) are given where the specification names them.
    """

    __slots__ = ()
    id: str
    status: int
    result_index: Callable[[C_contra], int] | None
    outputs: Callable[[C_contra], Result] | None

    def answer(self, call: C_contra) -> Result:
        """The result of the call that this condition refuses."""
        status = self.status if self.result_index is None else self.status | (self.result_index(call) & 0xFF) << 8
        return (int(status),) if self.outputs is None else (int(status), *self.outputs(call))


@dataclass(frozen=True, slots=True)
class Check(Condition[C_contra]):
    """A condition that is asked before the handler runs: ``fails(call)`` is true when it holds. It only looks."""

    id: str
    fails: Callable[[C_contra], object]
    status: int = INPUT
    result_index: Callable[[C_contra], int] | None = None
    outputs: Callable[[C_contra], Result] | None = None


@dataclass(frozen=True, slots=True)
class Refusal(Condition[Call]):
    """A condition that only the act can tell, because EL3 decides: the handler returns it, having done nothing."""

    id: str
    status: int = INPUT
    result_index: Callable[[Call], int] | None = None
    outputs: Callable[[Call], Result] | None = None


@dataclass(frozen=True)
class Command(Generic[C]):
    """A row of a command table. ``outs`` names X1, X2, ... of the answer."""

    fid: int
    name: str
    call: type[C]
    handler: Callable[[C], "Result | Refusal | None"]
    """Commits; returns X0, X1, ..., one of ``refusals``, or None when the answer comes later."""
    outs: tuple[str, ...] = ()
    checks: tuple[Check[C], ...] = ()
    refusals: tuple[Refusal, ...] = ()
    width: int = field(init=False, repr=False, compare=False)
    """How many registers of the answer are the command's: X0 to X3 at least."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", max(len(self.outs), 3) + 1)

    @property
    def ins(self) -> tuple[str, ...]:
        """The names of X1, X2, ..."""
        return self.call.ins

    @property
    def conditions(self) -> "tuple[Condition[Any], ...]":
        """Every failure condition in the order of the specification."""
        return (*self.checks, *self.refusals)

    def check(self, id: str) -> Check[C]:
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
    result = command.handler(call)
    if isinstance(result, Refusal):
        call.failed = result.id
        return result.answer(call)
    return result


def table(*parts: Sequence[Command[Any]]) -> dict[int, Command[Any]]:
    """FID -> row, of the rows of several modules; no FID may have two."""
    rows = [row for part in parts for row in part]
    found = {int(row.fid): row for row in rows}
    assert len(found) == len(rows), "a command table must have one row for each FID"
    return found
