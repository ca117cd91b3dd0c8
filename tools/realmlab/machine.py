"""A booted machine in a ``with`` block: firmware, RMM and host are up and can run Realms."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Unpack

from cca_firmware.boot import boot
from cca_host.kvm import RmiError, System
from cca_host.kvmtool import RunOptions, RunResult, Vmm
from cca_host.kvmtool.interrupt import interruptible
from cca_host.kvmtool.options import EXIT_LIMIT, RunReason
from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_platform.printable import printable

from .console import Watch
from .cpu import Cpu
from .hooks import Hook, Hooks
from .options import BOARD, MachineOptions, RealmJobOptions, RealmOptions, TogetherOptions, read, takes
from .payloads import find_payload
from .realm import Members, Realm
from .results import Progress, Reason, published
from .session import Session
from .together import Together, live

__all__ = ["Machine"]


class Machine(Session):
    """A board booted by the trusted firmware, with the RMM at R-EL2 and the KVM host at NS-EL2.

    ``board`` is the name of a board, the path of a board's TOML file, or a ``Board``. ``trace`` is the path of a JSON
    Lines file, or a ``Trace``, which the caller closes. With the clock ``"virtual"``, repeated runs give equal traces.
    Raises MachineError, which says what is wrong and how to fix it.
    """

    host: System
    """The host kernel: RMI calls, Realms, Non-secure pages."""

    @takes(MachineOptions)
    def __init__(
        self, board: str | os.PathLike[str] | Board = BOARD.default, **options: Unpack[MachineOptions]
    ) -> None:
        given = read(MachineOptions, options)
        super().__init__(board, given)
        self._realms: list[Realm] = []
        self._current: Members | None = None
        try:
            self.host = System(self.platform)
            rmm = self._rmm()
            self.firmware = boot(self.platform, rmm=rmm, ns_program=self.host, **self._boot_options())
            self.inspector = rmm.inspector
        except BaseException:
            self.close()
            raise

    @takes(RealmOptions)
    def realm(self, payload: str | os.PathLike[str], **options: Unpack[RealmOptions]) -> Realm:
        """Build a live Realm for ``payload``, stopped before its first instruction.

        ``payload`` is the path of an ELF file, an arm64 Linux ``Image`` or a raw binary, or the name of a bundled
        payload. Raises MachineError if the options cannot be met or the RMM refuses.
        """
        realm = self._realm(payload, read(RealmOptions, options))
        with self._calls.call("realm"), self._running(realm):
            try:
                realm._vmm.build()
                self._calls.raise_kept()
            except BaseException as error:
                realm._vmm.destroy()
                if isinstance(error, RmiError):
                    raise MachineError(f"the RMM must accept the Realm: {error}") from error
                raise
        self._add(realm)
        return realm

    @takes(RealmJobOptions)
    def run_realm(self, payload: str | os.PathLike[str], **options: Unpack[RealmJobOptions]) -> RunResult:
        """Build a Realm for ``payload``, run it to its end, and destroy it. All its granules return to the host.

        ``payload`` is as for ``realm``. Raises MachineError if the options cannot be met; what happens inside the Realm
        is in the result. A breakpoint or a ``stop`` ends the Realm here; to continue from one, use ``realm``.
        """
        given = read(RealmJobOptions, options)
        timeout, silence = given.pop("timeout"), given.pop("silence")
        watch = Watch(given.pop("until"), given.pop("expect"), given.pop("reject"))
        realm = self._realm(payload, given)
        realm._look_for(watch)
        vmm = realm._vmm
        with self._calls.call("run_realm"), interruptible(vmm.interrupt), self._running(realm) as hooks:
            try:
                with realm._within(timeout, None, "the build of the Realm") as wall:
                    vmm.build()
                self._add(realm)
                if not wall.text:
                    with realm._within(timeout, silence) as wall:
                        realm._go(hooks)
                if wall.text:
                    vmm.over(EXIT_LIMIT, RunReason.LIMIT, wall.text)
                realm._explain()
            except RmiError as error:
                vmm.fail(str(error))
            finally:
                realm._judge()
                vmm.destroy()
                if realm in self._realms:
                    self._realms.remove(realm)
        return published(vmm.result(), realm._failure)

    @takes(TogetherOptions)
    def run_all(self, realms: Iterable[Realm], **options: Unpack[TogetherOptions]) -> tuple[Progress, ...]:
        """Run live Realms and plain VMs together: the host gives their vCPUs turns, each on its PE.

        Until all have ended, a breakpoint, a ``stop``, Ctrl-C, or a limit: ``max_insns`` instructions of all of them,
        ``timeout`` or ``silence`` seconds of wall time. Returns how far each got, in their order. One that ends leaves
        the others alone.
        """
        given = read(TogetherOptions, options)
        with self._calls.call("run_all"):
            together = Together(self, live(realms))
            return together.run(given["max_insns"], given["timeout"], given["silence"])

    def _realm(self, payload: str | os.PathLike[str], given: dict[str, Any]) -> Realm:
        """A Realm that has not been built yet."""
        on_console = given.pop("on_console")
        tell = None if on_console is None else self._calls.guarded(on_console)

        def heard(data: bytes) -> None:
            realm._heard(data)
            if tell is not None:
                tell(data)

        path = find_payload(payload, "realm")
        realm = Realm(self, Vmm(self.host, RunOptions(payload=path, on_console=heard, **given)))
        return realm

    def _add(self, realm: Realm) -> None:
        self._realms = [one for one in self._realms if one.alive]
        self._realms.append(realm)
        self._hooks.symbols.forget()

    @property
    def realms(self) -> tuple[Realm, ...]:
        """The live Realms."""
        return tuple(realm for realm in self._realms if realm.alive)

    @contextmanager
    def _running(self, realm: Members) -> Iterator[Hooks]:
        """Code that runs in a guest inside the block belongs to ``realm``; yields the hooks of the machine.

        ``realm`` has the PEs to itself: a vCPU of another Realm that is on a PE exits to the host first.
        """
        for other in self._realms:
            if other not in realm.members:
                other._vmm.park()
        before, self._hooks.owner, self._current = self._current, realm, realm
        try:
            yield self._hooks
        finally:
            self._hooks.owner = self._current = before

    def _add_hook(self, where: int | str, callback: Callable[[Cpu], object] | None, realm: Realm) -> Hook:
        """Add a hook, or a breakpoint if there is no callback, in the code of one Realm."""
        return self._hooks.add(where, callback, realm.world, realm.symbols, realm)

    def _pause(self, why: Reason) -> None:
        if self._current is not None:
            self._current._pause(why)

    def _files(self) -> Iterable[tuple[bytes, int]]:
        return (one for realm in self.realms for one in realm._files())

    def _save(self) -> dict[Realm, bytes]:
        return {realm: realm._save() for realm in self.realms}

    def _load(self, data: Mapping[Realm, bytes]) -> None:
        for realm in {*self._realms, *data}:
            realm._load(data.get(realm))
        self._realms = list(data)
        self._hooks.symbols.forget()

    def __repr__(self) -> str:
        realms = ", ".join(map(repr, self.realms)) or "no Realm"
        return f"<Machine {printable(self.platform.board.name)}: {realms}>"
