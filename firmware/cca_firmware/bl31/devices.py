"""The devices that BL31 sets up at cold boot, as TF-A's platform code does: the interrupt controller and the timers."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import MPIDR_AFFINITY
from cca_arch.timer_frames import Cntacr, CntCtlBase
from cca_arch.types import Pas
from cca_firmware.bl31 import gic

if TYPE_CHECKING:
    from cca_platform.board import Board, DeviceRow
    from cca_platform.machine.machine import Machine

__all__ = ["init"]

_TIMER, _FRAME = "generic-timer", "generic-timer-frame"
_ALL: Final = sum(field.mask for field in Cntacr.fields().values())


def init(machine: "Machine") -> None:
    """Set up the distributor and the timer frames."""
    board = machine.board
    gic.init(machine.gic, _secure_spis(board), board.pes[0] & MPIDR_AFFINITY)
    for device in board.devices:
        if device.kind == _TIMER:
            _open_frames(machine, device)


def _secure_spis(board: "Board") -> list[int]:
    """The interrupts of the devices that no Non-secure access reaches."""
    return [device.irq for device in board.devices if device.irq and set(device.pases) <= {Pas.SECURE, Pas.ROOT}]


def _open_frames(machine: "Machine", control: "DeviceRow") -> None:
    """Give Non-secure software the frames that the board has in its address space, with all that they have."""
    board, opened = machine.board, 0
    for device in board.devices:
        if device.kind == _FRAME and device.options["control"] == control.name and Pas.NON_SECURE in device.pases:
            number = device.options["frame"]
            opened |= 1 << number
            machine.bus.write(control.base + CntCtlBase.CNTACR + 4 * number, 4, _ALL, Pas.ROOT)
    machine.bus.write(control.base + CntCtlBase.CNTNSAR, 4, opened, Pas.ROOT)
    machine.bus.write(control.base + CntCtlBase.CNTFRQ, 4, board.counter_hz, Pas.ROOT)
