"""A vCPU's descriptor: all ioctls of a vCPU, and its saved state."""

from typing import Final

from cca_arch.errno import Errno
from cca_arch.fields import Record
from cca_arch.kvm import realm as k
from cca_arch.kvm import structures as s
from cca_arch.kvm.requests import KvmAttribute, KvmVcpu
from cca_arch.kvm.values import TARGET_GENERIC_V8, MpState, VcpuFeature
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm import psci
from cca_host.kvm.exits import (
    Mmio,
)
from cca_host.kvm.kernel import RmiError
from cca_host.kvm.plain.vcpu import PlainVcpu
from cca_host.kvm.plain.vm import PlainVm
from cca_host.kvm.uapi.files import Call, Row, rows
from cca_host.kvm.uapi.kvm import Kvm, Phase
from cca_host.kvm.uapi.refusal import Refusal, must
from cca_host.kvm.uapi.registers import Registers
from cca_host.kvm.uapi.run import VcpuRun
from cca_host.kvm.uapi.runpage import UserPage
from cca_host.kvm.vcpu import Vcpu
from cca_platform.state import State

__all__ = ["VcpuState", "VcpuTarget"]

_REALM_FEATURES: Final = 1 << VcpuFeature.POWER_OFF | 1 << VcpuFeature.PSCI_0_2 | 1 << k.VCPU_REC
_PLAIN_FEATURES: Final = 1 << VcpuFeature.POWER_OFF | 1 << VcpuFeature.PSCI_0_2
_KNOWN_FEATURES: Final = (1 << VcpuFeature.HAS_EL2_E2H0 + 1) - 1


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
    running: bool


class VcpuTarget(VcpuRun):
    """vCPU ``number`` of a VM: its run, and the other requests."""

    def _init(self, call: Call) -> int:
        record = call.take(s.KvmVcpuInit)
        must(record.target == TARGET_GENERIC_V8, Errno.EINVAL)
        features = record.features[0]
        must(not features & ~_KNOWN_FEATURES and not any(record.features[1:]), Errno.ENOENT)
        must(not features & ~(_REALM_FEATURES if self.kvm.is_realm else _PLAIN_FEATURES), Errno.EINVAL)
        ephemeral = 1 << VcpuFeature.POWER_OFF
        must(self.features is None or not (self.features ^ features) & ~ephemeral, Errno.EINVAL)
        must(not isinstance(self.vcpu, Vcpu), Errno.EINVAL)
        self.features = features
        self.registers = Registers(self.number, self.kvm.is_realm)
        if isinstance(self.vcpu, PlainVcpu):
            self.vcpu.reset(0, ())
            self.vcpu.on = not self.has(VcpuFeature.POWER_OFF)
            self.registers.follow(self.kvm.system.port, self.vcpu.registers)
        return 0

    def _finalize(self, call: Call) -> int:
        must(self.initialized, Errno.ENOEXEC)
        what = int.from_bytes(call.read(4), "little")
        must(what == k.VCPU_REC and self.has(k.VCPU_REC), Errno.EINVAL)
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
        off = record.mp_state == MpState.STOPPED
        self.features = (self.features or 0) & ~power | power * off
        if self.vcpu is not None:
            self.vcpu.on = not off
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
            must(self._mmio is not None and self.vcpu is not None, Errno.EINVAL)
            assert self.vcpu is not None
            self._mmio = None
            self.vcpu.abort()
        return 0

    def _complete(self, call: Call) -> int:
        """KVM_ARM_VCPU_RMI_PSCI_COMPLETE: what user space decides about a call that has reached it."""
        record, vcpu = call.take(k.ArmRmiPsciComplete), self.vcpu
        must(self._host_call and not any(record.padding) and isinstance(vcpu, Vcpu), Errno.EINVAL)
        assert isinstance(vcpu, Vcpu)
        must(vcpu.page.reason == RecExitReason.PSCI and vcpu.page.gprs[0] in psci.COMPLETED, Errno.EINVAL)
        status = record.psci_status | (-1 << 32 if record.psci_status >> 31 else 0)
        try:
            must(psci.complete(vcpu, record.target_mpidr, status & (1 << 64) - 1), Errno.EINVAL)
        except RmiError as error:
            self.kvm.log.append(str(error))
            raise Refusal(Errno.EINVAL) from None
        return 0

    def _prefault(self, call: Call) -> int:
        """Map memory of a plain VM that has run, as its first access would."""
        record, guest = call.take(s.KvmPreFaultMemory), self.kvm.guest
        aligned = not (record.gpa | record.size) % GRANULE_SIZE
        must(aligned and record.size and not record.flags and not any(record.padding), Errno.EINVAL)
        if not isinstance(guest, PlainVm):
            raise Refusal(Errno.EOPNOTSUPP)
        must(guest.all_in_memory(record.gpa, record.gpa + record.size), Errno.ENOENT)
        with self.kvm.troubles():
            for ipa in range(record.gpa, record.gpa + record.size, GRANULE_SIZE):
                guest.fault_in(ipa)
        call.write(s.KvmPreFaultMemory.pack(gpa=record.gpa + record.size))
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
            running=self.running,
        )

    @classmethod
    def restored(cls, kvm: Kvm, state: VcpuState) -> "VcpuTarget":
        """What :meth:`save` returned, of a VM whose own state is there."""
        one = cls(kvm, state.number, state.tid, UserPage(kvm.system, state.page))
        one.features, one.running = state.features, state.running
        one.registers = Registers(state.number, kvm.is_realm, state.registers)
        one._mmio = None if state.mmio is None else Mmio(*state.mmio)
        one._host_call, one._converting = state.host_call, state.converting
        if state.made and kvm.guest is not None:
            one.vcpu = kvm.guest.vcpus[state.number]
            if isinstance(one.vcpu, PlainVcpu):
                one.registers.at(kvm.system.port, one.vcpu.registers)
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
    Row(
        k.KvmRmiVcpu.ARM_VCPU_RMI_PSCI_COMPLETE, k.ArmRmiPsciComplete, VcpuTarget._complete,
        (Errno.EFAULT, Errno.EINVAL),
    ),
    Row(
        KvmVcpu.PRE_FAULT_MEMORY, s.KvmPreFaultMemory, VcpuTarget._prefault,
        (Errno.EFAULT, Errno.EINVAL, Errno.EOPNOTSUPP, Errno.ENOENT),
    ),
    *(
        Row(request, s.KvmDeviceAttr, VcpuTarget._attribute, (Errno.EFAULT, Errno.EINVAL, Errno.ENXIO))
        for request in KvmAttribute
    ),
)  # fmt: skip
