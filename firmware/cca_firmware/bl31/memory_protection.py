"""MEM_PROTECT at EL3: what a reset keeps of Non-secure DRAM is overwritten first, if the software there asks for it."""

from typing import TYPE_CHECKING

from cca_arch.psci import Psci, PsciStatus
from cca_firmware.bl31.functions import Handler
from cca_firmware.bl31.suspend import arguments

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["MemoryProtection"]


class MemoryProtection:
    """The ``handlers`` of MEM_PROTECT, which is off at boot, and of MEM_PROTECT_CHECK_RANGE.

    It covers the DRAM that the boot leaves to the Non-secure world, also what is in another world by now.
    """

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._covered = machine.board.ns_banks()
        self.handlers: dict[int, Handler] = {
            Psci.MEM_PROTECT: self._mem_protect,
            Psci.MEM_PROTECT_CHECK_RANGE: self._check_range,
            Psci.MEM_PROTECT_CHECK_RANGE_64: self._check_range,
        }

    def disable(self) -> None:
        """Let the next reset keep what the machine keeps."""
        self._machine.overwrite = False

    def save(self) -> bool:
        """True if memory is protected."""
        return self._machine.overwrite

    def restore(self, protected: bool) -> None:
        """Restore what ``save`` returned."""
        self._machine.overwrite = protected

    def _mem_protect(self, pe: "Pe", x: memoryview) -> None:
        """Turn it on or off; the result is what it was."""
        before, self._machine.overwrite = self._machine.overwrite, bool(x[1] & 0xFFFF_FFFF)
        x[0] = before

    def _check_range(self, pe: "Pe", x: memoryview) -> None:
        base, length, _ = arguments(x)
        covered = length and any(bank.base <= base and base + length <= bank.top for bank in self._covered)
        x[0] = PsciStatus.SUCCESS if covered else PsciStatus.DENIED
