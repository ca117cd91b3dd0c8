"""The power controller of the Base FVP (DUI 0837), as TF-A's driver uses it: what has power, and requests.

Power is EL3's here, and EL3 uses the controller of the machine itself (:mod:`cca_platform.power`). This device shows
its state. Requests of other software are kept, as on the FVP until the PE's next WFI, and change nothing.
"""

from typing import Final

from cca_arch.fields import Bits, Field
from cca_platform.board import DeviceRow
from cca_platform.devices.base import WORD, Register, RegisterTable
from cca_platform.devices.wiring import Wiring
from cca_platform.devices.words import WordDevice
from cca_platform.power import Level

__all__ = ["PowerController", "Psysr"]

_PPOFFR, _PPONR, _PCOFFR, _PWKUPR, _PSYSR = range(0x00, 0x14, 4)
_ID: Final = 0x00FF_FFFF  # Aff2 to Aff0
_WEN: Final = 1 << 31  # of PWKUPR


class Psysr(Bits):
    """PSYSR: what of a PE's domains has power; wake-up enabled; power-off of cluster and PE pending; why it woke."""

    mpidr = Field(23, 0)
    wk = Field(25, 24)
    pp = Field(26)
    pc = Field(27)
    wen = Field(28)
    l0 = Field(29)
    l1 = Field(30)
    l2 = Field(31)


class PowerController(WordDevice):
    """One controller for all PEs of the board."""

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._index: Final = {mpidr & _ID: index for index, mpidr in enumerate(wiring.memory.board.pes)}

    def _status(self) -> int:
        """PSYSR of the PE that was written to it; all ones if there is none with that affinity."""
        affinity = self.values[_PSYSR]
        pe, power = self._index.get(affinity), self.wiring.power
        if pe is None:
            return WORD
        bit = 1 << pe
        return Psysr.make(
            mpidr=affinity,
            wk=power.wake(pe),
            pp=bool(self.values[_PPOFFR] & bit) and not power.off(pe),
            pc=bool(self.values[_PCOFFR] & bit) and not power.off(pe, Level.CLUSTER),
            wen=bool(self.values[_PWKUPR] & bit),
            l0=not power.off(pe),
            l1=not power.off(pe, Level.CLUSTER),
            l2=not power.off(pe, Level.SYSTEM),
        )

    def _ask(self, register: int, value: int, on: bool) -> None:
        """Note or withdraw a request for the PE with affinity ``value``."""
        pe = self._index.get(value & _ID)
        if pe is not None:
            self.values[register] = self.values[register] & ~(1 << pe) | on << pe

    def _turn_off(self, value: int) -> None:
        self._ask(_PPOFFR, value, on=True)

    def _turn_on(self, value: int) -> None:
        self._ask(_PPOFFR, value, on=False)
        self._ask(_PCOFFR, value, on=False)

    def _turn_cluster_off(self, value: int) -> None:
        self._ask(_PCOFFR, value, on=True)

    def _enable_wake(self, value: int) -> None:
        self._ask(_PWKUPR, value, on=bool(value & _WEN))

    registers = RegisterTable(
        Register("PPOFFR", _PPOFFR, writable=WORD, read=lambda controller: 0, write=_turn_off),
        Register("PPONR", _PPONR, write=_turn_on),
        Register("PCOFFR", _PCOFFR, writable=WORD, read=lambda controller: 0, write=_turn_cluster_off),
        Register("PWKUPR", _PWKUPR, writable=WORD, read=lambda controller: 0, write=_enable_wake),
        Register("PSYSR", _PSYSR, writable=_ID, read=_status),
    )
