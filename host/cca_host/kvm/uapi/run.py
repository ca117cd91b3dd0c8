"""KVM_RUN: a vCPU of a process, from one exit to user space to the next."""

import struct
from typing import TYPE_CHECKING, Final

from cca_arch.errno import Errno
from cca_arch.kvm.values import ExitReason, SystemEventType, VcpuFeature
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.types import Instructions, Ticks
from cca_host.kvm.exits import (
    CpuOff,
    Exit,
    Failure,
    HostCall,
    Idle,
    Interrupted,
    MemoryFault,
    Mmio,
    Paused,
    SystemEvent,
    SystemEventKind,
    Yield,
)
from cca_host.kvm.handle_exit import change_ripas
from cca_host.kvm.kernel import RmiError
from cca_host.kvm.plain.vcpu import PlainVcpu
from cca_host.kvm.uapi import plain, realm
from cca_host.kvm.uapi.files import Call, Target
from cca_host.kvm.uapi.kvm import Kvm, Phase
from cca_host.kvm.uapi.memory import AddressSpace
from cca_host.kvm.uapi.refusal import Refusal, must
from cca_host.kvm.uapi.registers import Registers
from cca_host.kvm.uapi.runpage import IMMEDIATE_EXIT, MMIO_DATA, UserPage
from cca_host.kvm.vcpu import Vcpu
from cca_host.kvm.vm import Vm
from cca_platform.errors import MachineError

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["MMAP_SIZE", "VcpuRun"]

MMAP_SIZE: Final = 0x1000
"""What KVM_GET_VCPU_MMAP_SIZE returns: kvm_run alone, without a ring of coalesced MMIO."""
_SLICE: Final = 50_000  # ticks that pass while a vCPU does nothing but wait for another
_FUNCTION: Final = 0xFFFF_FFFF  # of X0
_GPRS: Final = struct.Struct("<31Q")
_EVENTS: Final = {
    SystemEventKind.OFF: SystemEventType.SHUTDOWN,
    SystemEventKind.RESET: SystemEventType.RESET,
}


class VcpuRun(Target):
    """vCPU ``number`` of a VM, which belongs to thread ``tid``.

    ``left`` is why a run has not come back to user space: the vCPU waits (Idle, Yield, CpuOff), its turn is over
    (Interrupted), or it is paused.
    """

    kind = "vCPU"
    unknown = Errno.EINVAL

    def __init__(self, kvm: Kvm, number: int, tid: int, page: UserPage) -> None:
        self.kvm = kvm
        self.number = number
        self.tid = tid
        self.page_ = page
        self.features: int | None = None
        self.registers = Registers(number, kvm.is_realm)
        self.vcpu: Vcpu | PlainVcpu | None = None
        self.left: Exit | None = None
        self.running = False
        """A KVM_RUN has begun and has not come back."""
        self._signalled = False
        self._mmio: Mmio | None = None
        self._host_call = False
        self._converting = False
        """The last exit was a change of RIPAS, which the next run applies."""

    # -- the vCPU as its VM has it ----------------------------------------------------------------------------------
    @property
    def initialized(self) -> bool:
        """True after KVM_ARM_VCPU_INIT."""
        return self.features is not None

    def has(self, feature: int) -> bool:
        """True if it has been initialised with a feature."""
        return bool((self.features or 0) >> feature & 1)

    def make(self) -> None:
        """Make the REC or the plain vCPU, with the registers that user space has set."""
        if self.vcpu is not None:
            return
        kvm, guest, registers = self.kvm, self.kvm.guest, self.registers
        assert guest is not None
        if isinstance(guest, Vm):
            must(self.has(VcpuFeature.PSCI_0_2), Errno.EINVAL)
            must(self.number == len(guest.vcpus), Errno.ENXIO)  # the RMM wants the next MPIDR
        with kvm.troubles():
            if isinstance(guest, Vm):
                self.vcpu = guest.create_vcpu(registers.pc, registers.gprs[:8], runnable=self.number == 0)
            else:
                self.vcpu = guest.create_vcpu(runnable=not self.has(VcpuFeature.POWER_OFF))
                registers.follow(kvm.system.port, self.vcpu.registers)

    def release(self) -> None:
        """The VM is gone."""
        self.page_.release()
        self.kvm.system.pages.give(self.page_.pa)
        self.vcpu = None

    # -- the descriptor ---------------------------------------------------------------------------------------------
    def admit(self, call: Call) -> None:
        """A vCPU belongs to its VM's process, and to the thread that has made it."""
        if call.tid != self.tid or call.space is not self.kvm.space:
            raise Refusal(Errno.EIO)

    def check_mapping(self, offset: int, size: int) -> None:
        """Only the one page can be mapped."""
        must(offset + size <= MMAP_SIZE, Errno.EINVAL)

    def page(self, space: AddressSpace, address: int, offset: int) -> int:
        """The page that it shares with user space."""
        return self.page_.pa

    def closed(self) -> None:
        """The vCPU stays as long as its VM does."""
        self.kvm.put()

    # -- KVM_RUN ----------------------------------------------------------------------------------------------------
    def run(
        self,
        pe: "Pe | None" = None,
        until: Ticks | None = None,
        limit: Instructions | None = None,
        alone: bool = False,
    ) -> int | None:
        """Begin a KVM_RUN with what user space answers to the last exit, or go on with one that has not come back.

        Returns 0 once it comes back, or None if it has not: see ``left``. The parameters are those of
        :meth:`cca_host.kvm.Vcpu.run`, but ``pe`` is by default that of the vCPU's number. Raises Refusal if the call
        fails.
        """
        page = self.page_
        if not self.running:
            access = self._mmio
            if access is None:
                self._reply()
            elif self.vcpu is not None:  # the most frequent answer is the fastest
                self._mmio = None
                self.vcpu.mmio_result(0 if access.write else page.words[MMIO_DATA])
            if self._signalled or page.words[0] & IMMEDIATE_EXIT:
                self._signalled = False
                raise Refusal(Errno.EINTR)
            self.running = True
        vcpu = self.vcpu
        assert vcpu is not None
        if self._signalled or not vcpu.on:
            return self._other(CpuOff())
        if pe is None and vcpu.running is None:
            pe = self._pe()
        try:
            result = vcpu.run(pe, until, limit, alone)
        except RmiError as error:
            self.running = False
            self.kvm.note(error)
            raise Refusal(Errno.ENXIO) from None
        if type(result) is Mmio:
            self.running = False
            self._mmio = result
            page.mmio(result)
            return 0
        return self._other(result)

    def kick(self) -> int | None:
        """End what the vCPU does in the guest, like an IPI from another CPU; returns what :meth:`run` would."""
        result = None if self.vcpu is None else self.vcpu.kick()
        if result is None:
            return None
        if isinstance(result, Mmio):
            self.running = False
            self._mmio = result
            self.page_.mmio(result)
            return 0
        return self._other(result)

    def _reply(self) -> None:
        """The first run, or the reply to an exit that was no access."""
        must(self.initialized, Errno.ENOEXEC)
        kvm = self.kvm
        if self.vcpu is None or kvm.phase is not Phase.ACTIVATED:
            self._first()
        vcpu = self.vcpu
        assert vcpu is not None
        if self._host_call:
            self._host_call = False
            changed = self.page_.changed_gprs()
            if changed is not None:
                self.registers.put_gprs(changed)
            vcpu.host_call_result(self.registers.gprs)
        elif self._converting:
            self._converting = False
            assert isinstance(vcpu, Vcpu)
            with kvm.troubles():
                change_ripas(vcpu)

    def _first(self) -> None:
        """Before the first run: the GIC has to be there, and the Realm has to be active."""
        kvm = self.kvm
        must(kvm.phase is not Phase.DEAD, Errno.ENXIO)
        if kvm.explicit:
            must(self.vcpu is not None, Errno.EPERM)  # not finalised
            must(kvm.phase is Phase.ACTIVATED, Errno.EINVAL)
        must(kvm.vgic_made or kvm.explicit or not kvm.is_realm, Errno.EOPNOTSUPP)
        if kvm.vgic_made:
            must(kvm.distributor is not None and kvm.redistributors is not None, Errno.ENXIO)
            must(kvm.vgic_ready, Errno.EBUSY)
        if not kvm.is_realm:
            plain.start(kvm)
        elif not kvm.explicit:
            must(kvm.phase is not Phase.ACTIVATED, Errno.EINVAL)  # it came too late to be part of the Realm
            realm.activate_implicitly(kvm)

    def _pe(self) -> "Pe":
        """The PE that is the vCPU's by its number, or another one if that is in the middle of another vCPU."""
        system = self.kvm.system
        pes = system.machine.pes
        own = pes[self.number % len(pes)]
        return own if own.call_done else system.free_pe()

    def _other(self, result: Exit) -> int | None:
        self.left = result
        if isinstance(result, Idle | Yield | CpuOff | Interrupted | Paused):
            if self._signalled:
                self._signalled = self.running = False
                self.page_.put(ExitReason.INTR)
                raise Refusal(Errno.EINTR)
            return None
        if isinstance(result, HostCall) and not self._forwards(result):
            return None
        self.running = False
        if isinstance(result, MemoryFault):
            self._converting = isinstance(self.vcpu, Vcpu) and self.vcpu.page.reason == RecExitReason.RIPAS_CHANGE
            self.page_.memory_fault(result.base, result.size, result.private)
            raise Refusal(Errno.EFAULT)
        if isinstance(result, SystemEvent):
            self._system_event(result)
        elif isinstance(result, HostCall):
            self.page_.hypercall(result.gprs[0], result.imm, _GPRS.pack(*result.gprs))
        elif isinstance(result, Failure):
            self.kvm.log.append(result.message)
            vcpu = self.vcpu
            assert vcpu is not None
            source = vcpu.page if isinstance(vcpu, Vcpu) else vcpu
            self.page_.internal_error([source.esr, source.hpfar])
        return 0

    def _forwards(self, call: HostCall) -> bool:
        """Hand a call of the guest to user space, if that has asked for it; else the guest has no such function."""
        function, vcpu = call.gprs[0] & _FUNCTION, self.vcpu
        assert vcpu is not None
        if function in self.kvm.forwarded:
            self._host_call = True
            self.registers.put_gprs(_GPRS.pack(*call.gprs))
            return True
        vcpu.host_call_status(-1)
        self.left = Interrupted()
        return False

    def _system_event(self, event: SystemEvent) -> None:
        """The first vCPU tells how the guest has ended; the others find that it has."""
        if self.kvm.off:
            self.page_.put(ExitReason.SHUTDOWN)
            return
        self.kvm.off = True
        self.page_.system_event(_EVENTS[event.kind])

    def signal(self, at_once: bool = True) -> None:
        """A signal for the thread: its KVM_RUN comes back with EINTR, the present one or the next."""
        self._signalled = True
        if self.vcpu is not None:
            self.vcpu.pause(at_once)

    def _run(self, call: Call) -> int:
        must(call.number == 0, Errno.EINVAL)
        while True:
            result = self.run()
            if result is not None:
                return result
            self._wait()

    def _wait(self) -> None:
        """Let time pass until the vCPU can go on, as nothing else runs."""
        vcpu, left = self.vcpu, self.left
        assert vcpu is not None
        machine = self.kvm.system.machine
        if isinstance(left, Idle):
            if vcpu.wakes():
                return
            due = vcpu.deadline()
            if due is None:
                raise MachineError(
                    f"vCPU {self.number} must have something to wait for in KVM_RUN, but no timer of it is set: "
                    "send it an interrupt first"
                )
            machine.inputs.idle(Ticks(due))
        elif isinstance(left, Yield):
            machine.inputs.idle(Ticks(machine.clock.now + _SLICE))
        elif isinstance(left, CpuOff):
            raise MachineError(
                f"vCPU {self.number} must be on for KVM_RUN to come back, but it has turned itself off: run the others"
            )
