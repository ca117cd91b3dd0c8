"""The RMM as a program at R-EL2: EL3 enters it for boot and RMI calls, and Realms by exceptions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from cca_arch.el3 import BootCode, RmmEl3
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.smccc import FUNCTION, NOT_SUPPORTED
from cca_arch.sysregs import VMID16, Ec, Esr, Mmfr1, encodings
from cca_arch.types import INSTRUCTION_SIZE
from cca_platform.trace.events import BootStage, RmiCall
from cca_rmm.base.boot import check_registers, read_banks
from cca_rmm.base.command import Command, execute
from cca_rmm.base.core import MAX_PES, Core, Header
from cca_rmm.base.version import Version
from cca_rmm.inspector import Inspector
from cca_rmm.versions.v1_0 import V1_0
from cca_rmm.world.exceptions import synchronous
from cca_rmm.world.exit import leave
from cca_rmm.world.services import serve
from cca_rmm.world.timers import ASSERTED

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["Rmm"]

_COMPLETE: Final = int(RmmEl3.RMI_REQ_COMPLETE)
_EC, _SMC = Esr.ec.mask, Ec.SMC << Esr.ec.low


class Rmm(Core):
    """The monitor of one machine: the program to install at (REALM, 2).

    It offers the given ``versions``, by default RMM 1.0. The Host can select one with RMI_VERSION until it calls a
    command that is not ``opening``. The default is the first.
    """

    version: Version
    """The version in force, once the RMM has booted."""

    def __init__(self, machine: "Machine", *versions: Version) -> None:
        super().__init__(machine)
        offered = versions or (V1_0,)
        self._versions = {version.rmi: version for version in offered}
        assert len(self._versions) == len(offered), "the versions of an RMM must have RMI numbers of their own"
        self._first = offered[0].rmi
        self._settled = False
        self._commands: Mapping[int, Command[Any]] = {}
        self._services: Mapping[int, Command[Any]] = {}
        self.el3 = max(version.el3 for version in offered)
        self.inspector = Inspector(self.port, lambda: self.granules)
        """The inspector of its objects."""
        machine.parts["rmm"] = self

    @property
    def modules(self) -> frozenset[str]:
        """The modules of its versions' handlers, which a measurement of the RMM includes."""
        tables = (table for version in self._versions.values() for table in (version.commands, version.services))
        return frozenset(row.handler.__module__ for table in tables for row in table.values())

    # -- state of a snapshot: all of it is memory -------------------------------------------------------------------
    def save(self) -> None:
        """Save nothing: all state is in memory."""

    def restore(self, state: None) -> None:
        """Drop the caches of the previous state."""
        self._running.clear()
        if self.is_attached:
            return
        if self.booted:
            self.attach()
        else:
            self._commands = self._services = {}

    def attach(self) -> Header:
        """Rebuild the caches from memory, including the version in force."""
        head = super().attach()
        self._settled = bool(head.settled)
        self.adopt(head.rmi or self._first)
        return head

    # -- versions ---------------------------------------------------------------------------------------------------
    def adopt(self, number: int) -> None:
        """Adopt the facts and tables of a version."""
        self.version = self.facts = version = self._versions[number]
        self.granules.moves = version.moves
        self.revisions = (number,) if self._settled else tuple(sorted(self._versions))
        self._settled = len(self.revisions) == 1
        self._commands, self._services = version.commands, version.services
        self.enter_row = version.commands[version.enter]

    def settle(self) -> None:
        """Settle the version: the Host has begun to use it and can no longer select another."""
        self._settled = True
        self.write_head(rmi=self.version.rmi, settled=1)
        self.adopt(self.version.rmi)

    # -- boot -------------------------------------------------------------------------------------------------------
    def boot(self, pe: "Pe") -> None:
        """Cold boot of the first PE, warm boot of the others; ends in RMM_BOOT_COMPLETE."""
        if not self.booted:
            code = self.cold_boot(pe)
        else:
            code = BootCode.SUCCESS if pe.x[0] < self.cpus else BootCode.CPU_ID_OUT_OF_RANGE
        if self.trace.on:
            self.trace.emit(BootStage(stage="RMM", status=code), pe=pe)
        pe.leave(RmmEl3.BOOT_COMPLETE, code)

    def cold_boot(self, pe: "Pe") -> BootCode:
        """Check EL3's arguments, record the banks, and start with every granule UNDELEGATED."""
        code = check_registers(pe, self.port, self.el3)
        if code != BootCode.SUCCESS:
            return code
        _, el3, cpus, shared = pe.x[:4]
        banks = read_banks(self.port, shared)
        if banks is None:
            return BootCode.MANIFEST_DATA_ERROR
        vmid_bits = 16 if Mmfr1(pe.id_register(*encodings.ID_AA64MMFR1_EL1)).vmidbits == VMID16 else 8
        self.found(cpus, vmid_bits, shared, el3, banks)
        self.attach()
        return BootCode.SUCCESS

    # -- program at R-EL2 -------------------------------------------------------------------------------------------
    def on_eret(self, pe: "Pe") -> None:
        """Handle an entry from EL3: a CPU index in X0 boots this PE; otherwise X0..X7 are an RMI call."""
        x = pe.x[:8].tolist()
        row = self._commands.get(x[0] & FUNCTION)
        if row is None:
            self._other(pe, x)
            return
        if self.trace.on:
            self.trace.emit(RmiCall(fid=x[0], cmd=row.name, args=row.call.told(x)), pe)
        if not self._settled and row.fid not in self.version.opening:
            self.settle()
        call = row.call(self, pe, row, x)
        result = execute(call)
        if result is not None:
            self.answer(pe, row, result, x[4:], call.failed)

    def _other(self, pe: "Pe", x: list[int]) -> None:
        """Handle an entry from EL3 that names no command: a boot, or a call of an unknown function."""
        if x[0] < MAX_PES:  # smaller than any FID of a fast call
            self.boot(pe)
            return
        if self.trace.on:
            self.trace.emit(RmiCall(fid=x[0], cmd="UNKNOWN", args={}), pe)
        self.note(pe, x[0], "", "NOT_SUPPORTED")
        pe.leave(_COMPLETE, NOT_SUPPORTED, 0, 0, 0, *x[4 : self.results])

    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """Handle a Realm's exception. The preferred return address of an SMC is the SMC itself."""
        moves = pe.moves
        if esr & _EC == _SMC:
            pe.elr += INSTRUCTION_SIZE
            serve(self, self._services, pe)
        else:
            synchronous(self, pe, esr, far, hpfar)
        if pe.moves == moves and self.machine.stopped is None:
            self.resume(pe)

    def resume(self, pe: "Pe") -> None:
        """Back to the Realm, whose exception is dealt with; not before the Host knows of a timer that has changed.

        A timer whose interrupt the Host does not know exits by that interrupt; what it does know is masked.
        """
        told = self.running(pe)[1].timers & ASSERTED
        if told and pe.el1_timers() != told:
            leave(self, pe, RecExitReason.IRQ)

    def on_irq(self, pe: "Pe") -> None:
        """Exit to the Host on a physical interrupt while a Realm runs."""
        leave(self, pe, RecExitReason.IRQ)
