"""Several live Realms and plain VMs that run together: the host's scheduler gives their vCPUs turns."""

from collections.abc import Iterable

from cca_host.kvmtool.interrupt import interruptible
from cca_host.kvmtool.options import Pause
from cca_host.kvmtool.threads import Threads
from cca_platform.errors import MachineError

from .hooks import Hooks
from .realm import Realm, RealmOwner
from .results import Progress, Reason
from .wall import WallLimits

__all__ = ["Together", "live"]


def live(realms: Iterable[Realm]) -> tuple[Realm, ...]:
    """The Realms to run together; raises MachineError if there are none, if one is not live, or is named twice."""
    members = tuple(realms)
    if not members or not all(isinstance(one, Realm) for one in members):
        raise MachineError("`realms` must be live Realms of this machine, at least one: make them by `realm`")
    if len(set(members)) < len(members):
        raise MachineError("`realms` must not have the same Realm twice: name each once")
    return members


class Together:
    """One run of ``members`` on their machine."""

    def __init__(self, machine: RealmOwner, members: tuple[Realm, ...]) -> None:
        for one in members:
            if one.machine is not machine:
                raise MachineError(f"{one!r} must be of this machine to run on it: make it by `realm`")
        self.machine = machine
        self.members = members
        self._why: Reason | None = None

    def run(self, max_insns: int | None, timeout: float | None, silence: float | None) -> tuple[Progress, ...]:
        """Run them, and say how far each got."""
        wall = WallLimits(timeout, silence, lambda: self._pause(Reason.LIMIT))
        for one in self.members:
            one._begin()
            one._wall = wall
        with interruptible(lambda: self._pause(Reason.INTERRUPTED)), self.machine._running(self) as hooks, wall:
            self.machine._calls.raise_kept()  # of the exit of another Realm
            reason = self._go(hooks, max_insns)
            for one in self.members:
                one._explain()
        limit = wall.text
        if reason is Reason.LIMIT and not limit:
            limit = f"the limit of {max_insns} instructions is reached in {wall.phase}"
        return tuple(self._progress(one, reason, limit) for one in self.members)

    def _progress(self, one: Realm, reason: Reason | None, limit: str) -> Progress:
        end = one._vmm.end
        if end is not None:
            return one._progress(Reason(end.reason.value))
        assert reason is not None
        return one._progress(reason, limit)

    def _go(self, hooks: Hooks, max_insns: int | None) -> Reason | None:
        """Run until all have ended, which is None, or something pauses them."""
        owners = {id(one._vmm): one for one in self.members}
        threads = Threads([one._vmm for one in self.members])
        last = None if max_insns is None else threads.retired + max_insns
        while self._why is None:
            pause = threads.advance(last=last)
            hooks.owner = None if threads.current is None else owners[id(threads.current)]
            if pause is Pause.BREAKPOINT and hooks.reached():
                return Reason.BREAKPOINT
            if self._why is None and pause is Pause.ENDED:
                return None
            if self._why is None and pause is Pause.INSTRUCTIONS:
                return Reason.LIMIT
        return self._why

    def _pause(self, why: Reason) -> None:
        """Pause the run as soon as possible, for this reason."""
        self._why = self._why or why
        for one in self.members:
            one._vmm.pause(at_once=why not in (Reason.INTERRUPTED, Reason.LIMIT))  # of a signal handler, a thread
