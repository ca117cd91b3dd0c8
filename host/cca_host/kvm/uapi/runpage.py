"""The page that a vCPU shares with user space (kvm_run): why it has come back, and what it gets before it goes on."""

import struct
from typing import Final

from cca_arch.kvm import structures as s
from cca_arch.kvm.realm import SYNC_GPRS
from cca_arch.kvm.values import ExitReason, HypercallFlags, InternalError, MemoryFaultFlags, SystemEventType
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.exits import Mmio
from cca_host.kvm.kernel import Kernel

__all__ = ["GPRS_SIZE", "IMMEDIATE_EXIT", "MMIO_DATA", "SYNC", "UserPage"]

_REASON: Final = s.RUN_EXIT_REASON
_EXIT: Final = s.EXIT
_HEAD: Final = struct.Struct(f"<I{_EXIT - _REASON - 4}x")  # exit_reason, and what only other architectures use
_MMIO: Final = struct.Struct(f"{_HEAD.format}QQIB3x")
MMIO_DATA: Final = (_EXIT + s.KvmExitMmio.offset("data")) // 8
"""The word that a read of a device returns."""
IMMEDIATE_EXIT: Final = 0xFF << 8 * s.RUN_IMMEDIATE_EXIT
"""The bits of the first word that ask a run to come back at once."""
_PACK_MMIO: Final = _MMIO.pack
_MMIO_REASON: Final = int(ExitReason.MMIO)
_VALID: Final = s.KvmRun.offset("kvm_valid_regs")
_DIRTY: Final = s.KvmRun.offset("kvm_dirty_regs") // 8
_SYNC: Final = struct.Struct("<QQ")
SYNC: Final = s.KvmRun.offset("s")
GPRS_SIZE: Final = 31 * 8
_WORDS: Final = 16  # of the data of an event or an internal error


class UserPage:
    """The page at ``pa``, which is a page of the kernel's that user space has mapped."""

    def __init__(self, system: Kernel, pa: int) -> None:
        self.pa = pa
        self._port = system.port
        self.words = system.port.words(pa, GRANULE_SIZE)
        """What user space has written, as a live view of 64-bit words."""
        self._at = pa + _REASON

    @classmethod
    def new(cls, system: Kernel) -> "UserPage":
        """A page of zeroes."""
        pa = system.pages.take_high()
        system.port.zero(pa, GRANULE_SIZE)
        return cls(system, pa)

    def release(self) -> None:
        """The page is gone."""
        self.words.release()

    # -- why the vCPU has come back ---------------------------------------------------------------------------------
    def mmio(self, access: Mmio) -> None:
        """An access to memory that is not there: a device of user space."""
        write = access.write
        self._port.write(
            self._at, _PACK_MMIO(_MMIO_REASON, access.ipa, access.value if write else 0, access.size, write)
        )

    def put(self, reason: ExitReason, payload: bytes = b"") -> None:
        """Any reason, with the bytes of its structure."""
        self._port.write(self.pa + _REASON, _HEAD.pack(reason) + payload)

    def system_event(self, kind: SystemEventType) -> None:
        """The guest has turned itself off, or wants to start again."""
        self.put(ExitReason.SYSTEM_EVENT, s.KvmExitSystemEvent.pack(type=kind, ndata=1, data=[0] * _WORDS))

    def hypercall(self, number: int, immediate: int, gprs: bytes) -> None:
        """A call that user space has asked for. Our additions: ``args[0]`` is the immediate of RSI_HOST_CALL, and X0 to
        X30 are in the page, too, where user space may change them (SYNC_GPRS)."""
        arguments = [immediate, 0, 0, 0, 0, 0]
        self.put(
            ExitReason.HYPERCALL, s.KvmExitHypercall.pack(nr=number, args=arguments, ret=0, flags=HypercallFlags.SMC)
        )
        self._port.write(self.pa + _VALID, _SYNC.pack(SYNC_GPRS, 0) + gprs)

    def changed_gprs(self) -> bytes | None:
        """X0 to X30, if user space has changed them in the page."""
        if not self.words[_DIRTY] & SYNC_GPRS:
            return None
        self._port.write64(self.pa + 8 * _DIRTY, 0)
        return self._port.read(self.pa + SYNC, GPRS_SIZE)

    def internal_error(self, words: list[int]) -> None:
        """The kernel cannot go on with the guest."""
        self.put(
            ExitReason.INTERNAL_ERROR,
            s.KvmExitInternal.pack(
                suberror=InternalError.UNEXPECTED_EXIT_REASON,
                ndata=len(words),
                data=[*words, *[0] * (_WORDS - len(words))],
            ),
        )

    def memory_fault(self, gpa: int, size: int, private: bool) -> None:
        """User space has to make pages private, or shared."""
        flags = MemoryFaultFlags.PRIVATE if private else 0
        self.put(ExitReason.MEMORY_FAULT, s.KvmExitMemoryFault.pack(flags=flags, gpa=gpa, size=size))
