"""The run page of a REC (RmiRecRun): the host's input of an entry, and its view of an exit."""

import struct
from typing import Final

from cca_arch.rmi.v1_0 import RecExitReason, RmiRecEnter, RmiRecExit
from cca_arch.sysregs import Ec, Esr, IchVmcr
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.cpu import FIRES, PENDING, signalled_below
from cca_host.kvm.vgic import NUM_LRS
from cca_platform.memory.ports import Port

__all__ = ["RunPage"]

_EXIT: Final = RmiRecEnter.size  # the exit half of the page
_ENTER_GPRS: Final = RmiRecEnter.offset("gprs")
_ENTER_GIC: Final = RmiRecEnter.offset("gicv3_hcr")
_GIC_CODEC: Final = struct.Struct(f"<{1 + NUM_LRS}Q")  # ICH_HCR_EL2 and the list registers
_VEOIM: Final = IchVmcr.veoim.mask
_MASK: Final = (1 << 64) - 1


def _word(member: str) -> int:
    return RmiRecExit.offset(member) // 8


_ESR, _FAR, _HPFAR, _GPRS, _IMM = (_word(name) for name in ("esr", "far", "hpfar", "gprs", "imm"))
_GIC, _VMCR = _word("gicv3_hcr"), _word("gicv3_vmcr")
_TIMERS: Final = tuple((_word(f"{timer}_ctl"), _word(f"{timer}_cval")) for timer in ("cntv", "cntp"))
_PMU_STATUS: Final = _word("pmu_ovf_status")
_RIPAS_BASE, _RIPAS_TOP, _RIPAS_VALUE = _word("ripas_base"), _word("ripas_top"), _word("ripas_value")


class RunPage:
    """The page at ``pa`` of Non-secure memory. Its properties describe the last exit.

    Values for the next entry stay in place until they are written again.
    """

    def __init__(self, port: Port, pa: int) -> None:
        self.port = port
        self.pa = pa
        self._exit = port.words(pa + _EXIT, GRANULE_SIZE - _EXIT)
        self._flags = port.read64(pa)
        self._interrupts: tuple[int, ...] = _GIC_CODEC.unpack(port.read(pa + _ENTER_GIC, _GIC_CODEC.size))

    def release(self) -> None:
        """Release the page."""
        self._exit.release()

    # -- the next entry -----------------------------------------------------------------------------------------
    def put_flags(self, flags: int) -> None:
        """RmiRecEnterFlags."""
        if flags != self._flags:
            self.port.write64(self.pa, flags)
            self._flags = flags

    def put_interrupts(self, words: tuple[int, ...]) -> bool:
        """Write ICH_HCR_EL2 and the list registers; returns True if they have changed."""
        if words == self._interrupts:
            return False
        self.port.write(self.pa + _ENTER_GIC, _GIC_CODEC.pack(*words))
        self._interrupts = words
        return True

    def put_value(self, value: int) -> None:
        """gprs[0]: the value of an emulated read."""
        self.port.write64(self.pa + _ENTER_GPRS, value & _MASK)

    def put_gprs(self, data: bytes) -> None:
        """Write gprs from gprs[0] on, as bytes."""
        self.port.write(self.pa + _ENTER_GPRS, data)

    # -- the last exit ------------------------------------------------------------------------------------------
    @property
    def reason(self) -> int:
        """RmiRecExitReason."""
        return self._exit[0] & 0xFF

    @property
    def esr(self) -> int:
        """ESR_EL2 as far as the RMM reports it."""
        return self._exit[_ESR]

    @property
    def far(self) -> int:
        """FAR_EL2."""
        return self._exit[_FAR]

    @property
    def hpfar(self) -> int:
        """HPFAR_EL2."""
        return self._exit[_HPFAR]

    @property
    def imm(self) -> int:
        """The immediate of RSI_HOST_CALL."""
        return self._exit[_IMM] & 0xFFFF

    @property
    def gprs(self) -> memoryview:
        """X0..X30, or the values that the exit defines for them."""
        return self._exit[_GPRS : _GPRS + 31]

    @property
    def ripas_change(self) -> tuple[int, int, int]:
        """The base and top IPA of a RIPAS change, and the requested RmiRipas."""
        words = self._exit
        return words[_RIPAS_BASE], words[_RIPAS_TOP], words[_RIPAS_VALUE] & 0xFF

    @property
    def ich_hcr(self) -> int:
        """ICH_HCR_EL2."""
        return self._exit[_GIC]

    @property
    def list_registers(self) -> memoryview:
        """ICH_LR<n>_EL2."""
        return self._exit[_GIC + 1 : _GIC + 1 + NUM_LRS]

    @property
    def signalled_below(self) -> tuple[int, int]:
        """What :func:`cca_host.kvm.cpu.signalled_below` says of the vCPU."""
        waited = self.reason == RecExitReason.SYNC and Esr(self.esr).ec == Ec.WFX
        return signalled_below(self.vmcr, self.list_registers if waited else ())

    @property
    def vmcr(self) -> int:
        """ICH_VMCR_EL2."""
        return self._exit[_VMCR]

    @property
    def splits_end(self) -> bool:
        """ICC_CTLR_EL1.EOImode: EOIR only drops the priority; DIR deactivates."""
        return bool(self._exit[_VMCR] & _VEOIM)

    @property
    def pmu_overflow(self) -> bool:
        """True if a counter of the Realm has overflowed, so that its PMU asserts its interrupt."""
        return bool(self._exit[_PMU_STATUS] & 1)

    def timer_lines(self, now: int) -> tuple[bool, bool]:
        """(virtual, physical): whether each timer asserts its interrupt at clock value ``now``."""
        words = self._exit
        (cntv_ctl, cntv_cval), (cntp_ctl, cntp_cval) = _TIMERS
        return (
            words[cntv_ctl] & PENDING == FIRES and words[cntv_cval] <= now,
            words[cntp_ctl] & PENDING == FIRES and words[cntp_cval] <= now,
        )

    def deadline(self, now: int) -> int | None:
        """The clock value after ``now`` at which the next enabled, unmasked timer fires."""
        words = self._exit
        due = [words[compare] for control, compare in _TIMERS if words[control] & PENDING == FIRES]
        return min((compare for compare in due if compare > now), default=None)
