"""How a command is judged: its failure conditions, which of them the specification puts before which, its effect.

The rows of a command stand in the order of the fact book, which is what an implementation follows from top to bottom.
DEN0137 itself fixes less: what comes before a row is its ``after``. So when several conditions hold, several answers
can be right, and a :class:`Verdict` has them all beside the one that this project gives.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from rmm_model.facts import PAGE, Answer, Granule, Realm, Rec, Status, signed

if TYPE_CHECKING:
    from rmm_model.model import Model, Walk

__all__ = ["Call", "Command", "Rule", "Verdict", "fails", "granule", "judge", "names", "rtt_fails"]


class Call:
    """A command with its arguments, and what they name. What is meaningless is never asked: see ``after``."""

    def __init__(self, model: "Model", command: "Command", args: tuple[int, ...]) -> None:
        self.model = model
        self.command = command
        self.args = dict(zip(command.ins, args, strict=True))

    def __getattr__(self, name: str) -> int:
        try:
            return self.args[name]
        except KeyError:
            raise AttributeError(name) from None

    @cached_property
    def realm(self) -> Realm:
        """The Realm that ``rd`` names."""
        return self.model.realms[self.args["rd"]]

    @cached_property
    def owner(self) -> Rec:
        """The REC that ``rec`` names."""
        return self.model.recs[self.args["rec"]]

    @cached_property
    def depth(self) -> int:
        """``level`` as the signed number that it is."""
        return signed(self.args["level"])

    @cached_property
    def params(self) -> dict[str, Any]:
        """The structure that the Host's page holds."""
        assert self.command.params is not None
        return self.command.params(self.model, self)

    @cached_property
    def walk(self) -> "Walk":
        """Where the command's walk ends."""
        assert self.command.walk is not None
        return self.model.walk(self.realm, *self.command.walk(self))


class Rule(NamedTuple):
    """A failure condition."""

    id: str
    holds: Callable[[Call], bool]
    answer: Callable[[Call], Answer]
    after: str = ""
    """The ids that come before this one; ``rd_*`` are all that begin so. They are transitive."""
    doubt: str = ""
    """Why the specification may not want it to fail at all."""


class Command(NamedTuple):
    """An RMI command."""

    name: str
    fid: int
    ins: tuple[str, ...]
    rules: tuple[Rule, ...]
    effect: Callable[[Call], tuple[int, ...]]
    """Changes the model; X1.. of the success."""
    walk: Callable[[Call], tuple[int, int]] | None = None
    """(IPA, level) of the walk that its conditions speak of."""
    params: "Callable[[Model, Call], dict[str, Any]] | None" = None


class Verdict(NamedTuple):
    """What a call may answer."""

    call: Call
    failures: tuple[tuple[str, Answer], ...]
    """The conditions that hold and that nothing comes before, in the order of the fact book."""
    may_succeed: bool
    """Nothing is wrong, or nothing but what the specification may not mind."""

    @property
    def failed(self) -> str | None:
        """The condition that decides."""
        return self.failures[0][0] if self.failures else None

    @property
    def allowed(self) -> dict[int, str]:
        """X0 -> condition, of all answers that the specification allows."""
        answers = {0: "success"} if self.may_succeed else {}
        for name, answer in self.failures:
            answers.setdefault(answer.x0, name)
        return answers


def judge(call: Call) -> Verdict:
    """Ask every condition that has a meaning, and that no other comes before."""
    found: list[tuple[str, Answer]] = []
    passed_by: list[str] = []
    doubtful = True
    for rule in call.command.rules:
        if any(names(pattern, other) for pattern in rule.after.split() for other in passed_by):
            passed_by.append(rule.id)
        elif rule.holds(call):
            passed_by.append(rule.id)
            found.append((rule.id, rule.answer(call)))
            doubtful = doubtful and bool(rule.doubt)
    return Verdict(call, tuple(found), doubtful)


def names(pattern: str, rule: str) -> bool:
    """An ``after`` speaks of a rule."""
    return rule.startswith(pattern[:-1]) if pattern.endswith("*") else rule == pattern


def fails(status: Status, index: int = 0, *x: int) -> Callable[[Call], Answer]:
    """The same answer always."""
    answer = Answer(status, index, x)
    return lambda call: answer


def rtt_fails(
    level: Callable[[Call], int], x: Callable[[Call], tuple[int, ...]] = lambda call: ()
) -> Callable[[Call], Answer]:
    """RMI_ERROR_RTT with a level, and the outputs that it defines."""
    return lambda call: Answer(Status.RTT, level(call), x(call))


INPUT = fails(Status.INPUT)


def granule(name: str, state: Granule, *, prefix: str = "", last: str = "state") -> tuple[Rule, ...]:
    """The three conditions of a granule argument: an address, of managed memory, in the state that is needed."""
    prefix = prefix or name
    return (
        Rule(f"{prefix}_align", lambda call: call.args[name] % PAGE != 0, INPUT),
        Rule(
            f"{prefix}_bound",
            lambda call: not call.model.platform.tracked(call.args[name]),
            INPUT,
            f"{prefix}_align",
        ),
        Rule(
            f"{prefix}_{last}",
            lambda call: call.model.state(call.args[name]) is not state,
            INPUT,
            f"{prefix}_align {prefix}_bound",
        ),
    )
