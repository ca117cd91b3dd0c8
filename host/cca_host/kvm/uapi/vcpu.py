"""A vCPU's descriptor: KVM_RUN and the other ioctls of a vCPU."""

from typing import TYPE_CHECKING, Final

from cca_arch.errno import Errno
from cca_arch.fields import Record
from cca_arch.kvm import structures as s
from cca_arch.kvm.realm import VCPU_REC
from cca_arch.kvm.requests import KvmAttribute, KvmVcpu
from cca_arch.kvm.values import TARGET_GENERIC_V8, ExitReason, MpState, SystemEventType, VcpuFeature
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
from cca_host.kvm.uapi import realm
from cca_host.kvm.uapi.files import Call, Row, Target, rows
from cca_host.kvm.uapi.kvm import Kvm, Phase
from cca_host.kvm.uapi.memory import AddressSpace
from cca_host.kvm.uapi.refusal import Refusal, must
from cca_host.kvm.uapi.registers import Registers
from cca_host.kvm.uapi.runpage import UserPage
from cca_host.kvm.vcpu import Vcpu
from cca_platform.errors import MachineError
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["MMAP_SIZE", "VcpuState", "VcpuTarget"]

MMAP_SIZE: Final = 0x1000
"""What KVM_GET_VCPU_MMAP_SIZE returns: kvm_run alone, without a ring of coalesced MMIO."""
_SLICE: Final = 50_000  # ticks that pass while a vCPU does nothing but wait for another
_REALM_FEATURES: Final = 1 << VcpuFeature.POWER_OFF | 1 << VcpuFeature.PSCI_0_2 | 1 << VCPU_REC
_PLAIN_FEATURES: Final = 1 << VcpuFeature.POWER_OFF | 1 << VcpuFeature.PSCI_0_2
_KNOWN_FEATURES: Final = (1 << VcpuFeature.HAS_EL2_E2H0 + 1) - 1
_EVENTS: Final = {
    SystemEventKind.OFF: SystemEventType.SHUTDOWN,
    SystemEventKind.RESET: SystemEventType.RESET,
}


class VcpuState(State, frozen=True, tag="host.uapi.vcpu/1"):
    """Saved state of a :class:`VcpuTarget`; ``features`` is None before KVM_ARM_VCPU_INIT."""

    number: int
    tid: int
    page: int
    features: int | None
    registers: bytes
    made: bool
    mmio: tuple[int, int, bool, int] | None
    host_call: bool
    converting: bool
    emulated: bool
    running: bool


class VcpuTarget(Target):
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
        self.vcpu: Vcpu | None = None
        self.left: Exit | None = None
        self.running = False
        """A KVM_RUN has begun and has not come back."""
        self._signalled = False
        self._mmio: Mmio | None = None
        self._host_call = False
        self._converting = False
        """The last exit was a change of RIPAS, which the next run applies."""
        self._emulated = False
        """The last exit was an access that user space may answer by an external abort."""

    # -- the vCPU as its VM has it ----------------------------------------------------------------------------------
    @property
    def initialized(self) -> bool:
        """True after KVM_ARM_VCPU_INIT."""
        return self.features is not None

    def has(self, feature: int) -> bool:
        """True if it has been initialised with a feature."""
        return bool((self.features or 0) >> feature & 1)

    def make(self) -> None:
        """Make the REC, with the registers that user space has set."""
        if self.vcpu is not None:
            return
        kvm, guest = self.kvm, self.kvm.guest
        must(self.has(VcpuFeature.PSCI_0_2), Errno.EINVAL)
        assert guest is not None
        must(self.number == len(guest.vcpus), Errno.ENXIO)  # the RMM wants the next MPIDR
        with realm.troubles(kvm):
            self.vcpu = guest.create_vcpu(self.registers.pc, self.registers.gprs[:8], runnable=self.number == 0)

    def release(self) -> None:
        """The VM is gone."""
        self.kvm.system.pages.give(self.page_.pa)
        self.vcpu = None

    # -- the descriptor ---------------------------------------------------------------------------------------------
    def admit(self, call: Call) -> None:
        """A vCPU belongs to its VM's process, and to the thread that has made it."""
        must(call.space is self.kvm.space and call.tid == self.tid, Errno.EIO)

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
    def begin(self) -> None:
        """Begin a KVM_RUN: check that it can run, and take what user space answers to the last exit."""
        must(self.initialized, Errno.ENOEXEC)
        kvm = self.kvm
        if self.vcpu is None or kvm.phase is not Phase.ACTIVATED:
            self._first()
        vcpu, access = self.vcpu, self._mmio
        assert vcpu is not None
        if access is not None:
            self._mmio = None
            vcpu.mmio_result(0 if access.write else self.page_.mmio_data)
        elif self._host_call:
            self._host_call = False
            vcpu.host_call_result(self.registers.gprs)
        elif self._converting:
            self._converting = False
            with realm.troubles(kvm):
                change_ripas(vcpu)
        if self._signalled or self.page_.immediate_exit:
            self._signalled = False
            raise Refusal(Errno.EINTR)
        self.running = True

    def _first(self) -> None:
        """Before the first run: the GIC has to be there, and the Realm has to be active."""
        kvm = self.kvm
        must(kvm.is_realm, Errno.EINVAL)
        must(kvm.phase is not Phase.DEAD, Errno.ENXIO)
        if kvm.explicit:
            must(self.vcpu is not None, Errno.EPERM)  # not finalised
            must(kvm.phase is Phase.ACTIVATED, Errno.EINVAL)
        must(kvm.vgic_made or kvm.explicit, Errno.EOPNOTSUPP)
        if kvm.vgic_made:
            must(kvm.distributor is not None and kvm.redistributors is not None, Errno.ENXIO)
            must(kvm.vgic_ready, Errno.EBUSY)
        if not kvm.explicit:
            must(kvm.phase is not Phase.ACTIVATED, Errno.EINVAL)  # it came too late to be part of the Realm
            realm.activate_implicitly(kvm)

    def go_on(
        self,
        pe: "Pe | None" = None,
        until: Ticks | None = None,
        limit: Instructions | None = None,
        alone: bool = False,
    ) -> int | None:
        """Go on with a KVM_RUN that has begun; returns 0 once it comes back, or None if it has not: see ``left``.

        The parameters are those of :meth:`cca_host.kvm.Vcpu.run`. Raises Refusal if the call fails.
        """
        vcpu = self.vcpu
        assert vcpu is not None
        try:
            result = vcpu.run(pe, until, limit, alone)
        except RmiError as error:
            self.running = False
            self.kvm.log.append(str(error))
            raise Refusal(Errno.ENXIO) from None
        except Refusal:  # its memory is not there
            self.running = False
            raise
        if type(result) is Mmio:
            self.running = False
            self._mmio, self._emulated = result, True
            self.page_.mmio(result)
            return 0
        return self._other(result)

    def _other(self, result: Exit) -> int | None:
        self.left = result
        if isinstance(result, Idle | Yield | CpuOff | Interrupted | Paused):
            if self._signalled:
                self._signalled = self.running = False
                self.page_.put(ExitReason.INTR)
                raise Refusal(Errno.EINTR)
            return None
        self._emulated = False
        if isinstance(result, HostCall) and not self._forwards(result):
            return None
        self.running = False
        if isinstance(result, MemoryFault):
            assert self.vcpu is not None
            self._converting = self.vcpu.page.reason == RecExitReason.RIPAS_CHANGE
            self.page_.memory_fault(result.base, result.size, result.private)
            raise Refusal(Errno.EFAULT)
        if isinstance(result, SystemEvent):
            self._system_event(result)
        elif isinstance(result, HostCall):
            self.page_.hypercall(result.gprs[0], result.imm)
        elif isinstance(result, Failure):
            self.kvm.log.append(result.message)
            assert self.vcpu is not None
            self.page_.internal_error([self.vcpu.page.esr, self.vcpu.page.hpfar])
        return 0

    def _forwards(self, call: HostCall) -> bool:
        """Hand a call of the guest to user space, if that has asked for it; else the guest has no such function."""
        function, vcpu = call.gprs[0], self.vcpu
        assert vcpu is not None
        if function in self.kvm.forwarded:
            self._host_call = True
            self.registers.put_gprs(b"".join(value.to_bytes(8, "little") for value in call.gprs))
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
        if not self.running:
            self.begin()
        while True:
            result = self.go_on()
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

    # -- other requests ---------------------------------------------------------------------------------------------
    def _init(self, call: Call) -> int:
        record = call.take(s.KvmVcpuInit)
        must(record.target == TARGET_GENERIC_V8, Errno.EINVAL)
        features = record.features[0]
        must(not features & ~_KNOWN_FEATURES and not any(record.features[1:]), Errno.ENOENT)
        must(not features & ~(_REALM_FEATURES if self.kvm.is_realm else _PLAIN_FEATURES), Errno.EINVAL)
        ephemeral = 1 << VcpuFeature.POWER_OFF
        must(self.features is None or not (self.features ^ features) & ~ephemeral, Errno.EINVAL)
        must(self.vcpu is None, Errno.EINVAL)
        self.features = features
        self.registers = Registers(self.number, self.kvm.is_realm)
        return 0

    def _finalize(self, call: Call) -> int:
        must(self.initialized, Errno.ENOEXEC)
        what = int.from_bytes(call.read(4), "little")
        must(what == VCPU_REC and self.has(VCPU_REC), Errno.EINVAL)
        must(self.vcpu is None, Errno.EPERM)
        must(self.kvm.guest is not None and self.kvm.phase is not Phase.ACTIVATED, Errno.EINVAL)
        self.make()
        return 0

    def _get_reg(self, call: Call) -> int:
        must(self.initialized, Errno.ENOEXEC)
        record = call.take(s.KvmOneReg)
        call.space.write(record.addr, self.registers.get(record.id))
        return 0

    def _set_reg(self, call: Call) -> int:
        must(self.initialized, Errno.ENOEXEC)
        record = call.take(s.KvmOneReg)
        size = self.registers.size(record.id)
        self.registers.put(record.id, call.space.read(record.addr, size))
        return 0

    def _list(self, call: Call) -> int:
        must(self.initialized, Errno.ENOEXEC)
        room, known = call.take(s.KvmRegList).n, self.registers.known()
        call.write(s.KvmRegList.pack(n=len(known)))
        must(room >= len(known), Errno.E2BIG)
        call.write(b"".join(word.to_bytes(8, "little") for word in (len(known), *known)))
        return 0

    def _get_mp(self, call: Call) -> int:
        off = not self.vcpu.on if self.vcpu is not None else self.has(VcpuFeature.POWER_OFF)
        call.write(s.KvmMpState.pack(mp_state=MpState.STOPPED if off else MpState.RUNNABLE))
        return 0

    def _set_mp(self, call: Call) -> int:
        record: Record = call.take(s.KvmMpState)
        must(record.mp_state in (MpState.RUNNABLE, MpState.STOPPED), Errno.EINVAL)
        must(not self.kvm.is_realm, Errno.EINVAL)  # the RMM has the power state of a REC
        power = 1 << VcpuFeature.POWER_OFF
        self.features = (self.features or 0) & ~power | power * (record.mp_state == MpState.STOPPED)
        return 0

    def _get_events(self, call: Call) -> int:
        must(self.initialized, Errno.ENOEXEC)
        call.write(s.KvmVcpuEvents.pack())
        return 0

    def _set_events(self, call: Call) -> int:
        must(self.initialized, Errno.ENOEXEC)
        record = call.take(s.KvmVcpuEvents)
        must(not record.serror_pending and not any(record.reserved), Errno.EINVAL)
        if record.ext_dabt_pending:
            must(self._emulated and self._mmio is not None and self.vcpu is not None, Errno.EINVAL)
            assert self.vcpu is not None
            self._mmio = None
            self.vcpu.abort()
        return 0

    def _attribute(self, call: Call) -> int:
        record = call.take(s.KvmDeviceAttr)
        must(not record.flags, Errno.EINVAL)
        raise Refusal(Errno.ENXIO)

    # -- snapshots --------------------------------------------------------------------------------------------------
    def save(self) -> VcpuState:
        """State for a snapshot."""
        mmio = self._mmio
        return VcpuState(
            number=self.number,
            tid=self.tid,
            page=self.page_.pa,
            features=self.features,
            registers=bytes(self.registers.data),
            made=self.vcpu is not None,
            mmio=None if mmio is None else (mmio.ipa, mmio.size, mmio.write, mmio.value),
            host_call=self._host_call,
            converting=self._converting,
            emulated=self._emulated,
            running=self.running,
        )

    @classmethod
    def restored(cls, kvm: Kvm, state: VcpuState) -> "VcpuTarget":
        """What :meth:`save` returned, of a VM whose own state is there."""
        one = cls(kvm, state.number, state.tid, UserPage(kvm.system, state.page))
        one.features, one.running = state.features, state.running
        one.registers = Registers(state.number, kvm.is_realm, state.registers)
        one._mmio = None if state.mmio is None else Mmio(*state.mmio)
        one._host_call, one._converting, one._emulated = state.host_call, state.converting, state.emulated
        if state.made and kvm.guest is not None:
            one.vcpu = kvm.guest.vcpus[state.number]
        return one


VcpuTarget.requests = rows(
    Row(
        KvmVcpu.RUN, None, VcpuTarget._run,
        (
            Errno.EINVAL, Errno.ENOEXEC, Errno.EPERM, Errno.EINTR, Errno.EOPNOTSUPP, Errno.ENXIO, Errno.EBUSY,
            Errno.EFAULT,
        ),
    ),
    Row(KvmVcpu.ARM_VCPU_INIT, s.KvmVcpuInit, VcpuTarget._init, (Errno.EFAULT, Errno.EINVAL, Errno.ENOENT)),
    Row(
        KvmVcpu.ARM_VCPU_FINALIZE, 4, VcpuTarget._finalize,
        (Errno.EFAULT, Errno.ENOEXEC, Errno.EINVAL, Errno.EPERM, Errno.ENXIO),
    ),
    Row(
        KvmVcpu.GET_ONE_REG, s.KvmOneReg, VcpuTarget._get_reg,
        (Errno.EFAULT, Errno.ENOEXEC, Errno.ENOENT, Errno.EINVAL),
    ),
    Row(
        KvmVcpu.SET_ONE_REG, s.KvmOneReg, VcpuTarget._set_reg,
        (Errno.EFAULT, Errno.ENOEXEC, Errno.ENOENT, Errno.EINVAL),
    ),
    Row(KvmVcpu.GET_REG_LIST, s.KvmRegList, VcpuTarget._list, (Errno.EFAULT, Errno.ENOEXEC, Errno.E2BIG)),
    Row(KvmVcpu.GET_MP_STATE, s.KvmMpState, VcpuTarget._get_mp, (Errno.EFAULT,)),
    Row(KvmVcpu.SET_MP_STATE, s.KvmMpState, VcpuTarget._set_mp, (Errno.EFAULT, Errno.EINVAL)),
    Row(KvmVcpu.GET_VCPU_EVENTS, s.KvmVcpuEvents, VcpuTarget._get_events, (Errno.EFAULT, Errno.ENOEXEC)),
    Row(
        KvmVcpu.SET_VCPU_EVENTS, s.KvmVcpuEvents, VcpuTarget._set_events,
        (Errno.EFAULT, Errno.ENOEXEC, Errno.EINVAL),
    ),
    *(
        Row(request, s.KvmDeviceAttr, VcpuTarget._attribute, (Errno.EFAULT, Errno.EINVAL, Errno.ENXIO))
        for request in KvmAttribute
    ),
)  # fmt: skip
