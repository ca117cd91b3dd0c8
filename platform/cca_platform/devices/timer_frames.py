"""The memory-mapped generic timers (DDI 0487, chapter I2): the control frame CNTCTLBase and the frames CNTBaseN.

They count the system counter, as the timers of the PEs do. A frame is Secure until CNTNSAR gives it to Non-secure
software, and shows what its CNTACR<n> allows; all else reads as zero and is ignored.
"""

from collections.abc import Callable
from typing import Final

from cca_arch.sysregs import CntCtl
from cca_arch.timer_frames import COUNTER_FRAMES, Cntacr, CntBase, CntCtlBase, Cntel0acr, Cnttidr
from cca_arch.types import GRANULE_SIZE
from cca_platform.board import DeviceRow
from cca_platform.devices.base import WORD, Register, RegisterTable
from cca_platform.devices.keys import TimerFrameKeys, another, options
from cca_platform.devices.wiring import Wiring
from cca_platform.devices.words import SecuredDevice, pair
from cca_platform.errors import MachineError

__all__ = ["TimerControl", "TimerFrame"]

_U64: Final = (1 << 64) - 1
_SIGN: Final = 1 << 31
_ENABLE, _IMASK, _ISTATUS = CntCtl.enable.mask, CntCtl.imask.mask, CntCtl.istatus.mask
_CNTACR: Final = sum(field.mask for field in Cntacr.fields().values())
_CNTEL0ACR: Final = sum(field.mask for field in Cntel0acr.fields().values())
_NUMBERS: Final = range(COUNTER_FRAMES)
_NSAR, _ACR, _VOFF = int(CntCtlBase.CNTNSAR), int(CntCtlBase.CNTACR), int(CntCtlBase.CNTVOFF)
_PHYSICAL, _VIRTUAL = int(CntBase.CNTP_CVAL), int(CntBase.CNTV_CVAL)
_TVAL: Final = CntBase.CNTP_TVAL - CntBase.CNTP_CVAL  # of both timers
_CTL: Final = CntBase.CNTP_CTL - CntBase.CNTP_CVAL
_EL0ACR: Final = int(CntBase.CNTEL0ACR)


def _rules() -> dict[int, tuple[int, int, bool]]:
    """By the offset of a word: the bits of CNTACR<n> and CNTEL0ACR, one of which lets software access it.

    The last item is whether it belongs to the virtual timer.
    """
    either = Cntel0acr.el0pcten.mask | Cntel0acr.el0vcten.mask
    rows = (
        ((CntBase.CNTPCT, CntBase.CNTPCT + 4), Cntacr.rpct, Cntel0acr.el0pcten.mask, False),
        ((CntBase.CNTVCT, CntBase.CNTVCT + 4), Cntacr.rvct, Cntel0acr.el0vcten.mask, True),
        ((CntBase.CNTFRQ,), Cntacr.rfrq, either, False),
        ((CntBase.CNTVOFF, CntBase.CNTVOFF + 4), Cntacr.rvoff, 0, True),
        (range(_PHYSICAL, _PHYSICAL + 0x10, 4), Cntacr.rwpt, Cntel0acr.el0pten.mask, False),
        (range(_VIRTUAL, _VIRTUAL + 0x10, 4), Cntacr.rwvt, Cntel0acr.el0vten.mask, True),
    )
    return {int(at): (needs.mask, in_el0, virtual) for words, needs, in_el0, virtual in rows for at in words}


_RULES: Final = _rules()


def _offset(number: int) -> list[Register]:
    """The registers CNTVOFF<n>."""

    def read(control: "TimerControl") -> int:
        return control.offset(number)

    def write(control: "TimerControl", value: int) -> None:
        control.set_offset(number, value)

    return pair(f"CNTVOFF{number}", _VOFF + 8 * number, read, write, _U64)


def _count(timer: int) -> Callable[["TimerFrame"], int]:
    return lambda frame: frame.count(timer)


def _timer(name: str, timer: int) -> list[Register]:
    """The registers of a timer: CVAL, TVAL and CTL."""

    def compare(frame: "TimerFrame") -> int:
        return frame.values[timer]

    def set_compare(frame: "TimerFrame", value: int) -> None:
        frame.values[timer] = value

    def left(frame: "TimerFrame") -> int:
        return frame.values[timer] - frame.count(timer) & WORD

    def set_left(frame: "TimerFrame", value: int) -> None:
        frame.values[timer] = frame.count(timer) + (value ^ _SIGN) - _SIGN & _U64

    return [
        *pair(f"{name}_CVAL", timer, compare, set_compare, _U64),
        Register(f"{name}_TVAL", timer + _TVAL, read=left, write=set_left),
        Register(f"{name}_CTL", timer + _CTL, writable=_ENABLE | _IMASK, read=lambda frame: frame.status(timer)),
    ]


class TimerControl(SecuredDevice):
    """The control frame. The rows of its frames name it as their ``control``."""

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._frames: dict[int, TimerFrame] = {}

    def attach(self, number: int, frame: "TimerFrame") -> None:
        """Frame ``number`` is there; MachineError if that is no number of a frame, or taken."""
        if number not in _NUMBERS or number in self._frames:
            raise MachineError(f"frame of {frame.name} must be a number from 0 to 7 of its own, not {number!r}")
        self._frames[number] = frame

    # -- for the frames ----------------------------------------------------------------------------------------------
    def is_open(self, number: int, secure: bool) -> bool:
        """True if accesses of this Security state may use the frame and its controls."""
        return secure or bool(self.values[_NSAR] >> number & 1)

    def access(self, number: int) -> int:
        """CNTACR<n> of the frame."""
        return self.values[_ACR + 4 * number]

    def offset(self, number: int) -> int:
        """CNTVOFF<n> of the frame."""
        return self.values[_VOFF + 8 * number]

    def set_offset(self, number: int, value: int) -> None:
        """Set CNTVOFF<n> of the frame, whose virtual timer may then be due."""
        self.values[_VOFF + 8 * number] = value
        frame = self._frames[number]
        frame.drive()
        frame.wiring.changed()

    # -- registers ---------------------------------------------------------------------------------------------------
    def load(self, at: int, secure: bool) -> int:
        """Read a word."""
        return self.registers.read(self, at) if self._allows(at, secure) else 0

    def store(self, at: int, value: int, secure: bool) -> None:
        """Write a word; CNTFRQ takes writes of Secure software alone."""
        if self._allows(at, secure) and (secure or at != CntCtlBase.CNTFRQ):
            self.registers.write(self, at, value)

    def _allows(self, at: int, secure: bool) -> bool:
        if at == CntCtlBase.CNTNSAR:
            return secure
        if _ACR <= at < _ACR + 4 * COUNTER_FRAMES:
            number = at - _ACR >> 2
            return number in self._frames and self.is_open(number, secure)
        if _VOFF <= at < _VOFF + 8 * COUNTER_FRAMES:
            number = at - _VOFF >> 3
            return number in self._frames and self._frames[number].has_virtual and self.is_open(number, secure)
        return True

    def _identity(self) -> int:
        """CNTTIDR: what each frame has."""
        return sum(frame.identity << 4 * number for number, frame in self._frames.items())

    def _open(self, value: int) -> None:
        self.values[CntCtlBase.CNTNSAR] = value & sum(1 << number for number in self._frames)

    registers = RegisterTable(
        Register("CNTFRQ", CntCtlBase.CNTFRQ, writable=WORD),
        Register("CNTNSAR", CntCtlBase.CNTNSAR, writable=(1 << COUNTER_FRAMES) - 1, write=_open),
        Register("CNTTIDR", CntCtlBase.CNTTIDR, read=_identity),
        *(Register(f"CNTACR{number}", _ACR + 4 * number, writable=_CNTACR) for number in _NUMBERS),
        *(register for number in _NUMBERS for register in _offset(number)),
    )


class TimerFrame(SecuredDevice):
    """A frame CNTBaseN with its timers; the row's ``irq`` is that of the physical one.

    Further keys of its row: ``control``, its control frame; ``frame``, its number; ``virtual_irq``, without which it
    has no virtual timer; ``el0``, where in the device the second view CNTEL0BaseN is, if there is one.
    """

    keys = TimerFrameKeys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        keys = options(row, TimerFrameKeys)
        self._control: TimerControl = another(row, wiring, "control", keys.control, "generic-timer")
        self._number, self._virtual_irq, self._el0 = keys.frame, keys.virtual_irq, keys.el0
        self._control.attach(self._number, self)

    @property
    def has_virtual(self) -> bool:
        """True if it has a virtual timer."""
        return self._virtual_irq != 0

    @property
    def identity(self) -> int:
        """Its four bits of CNTTIDR."""
        return int(Cnttidr.make(fi=1, fvi=self.has_virtual, fel0i=self._el0 is not None))

    # -- time --------------------------------------------------------------------------------------------------------
    def count(self, timer: int) -> int:
        """What a timer compares with."""
        return self.wiring.now() - (self._control.offset(self._number) if timer == _VIRTUAL else 0) & _U64

    def status(self, timer: int) -> int:
        """CNTP_CTL or CNTV_CTL."""
        control = self.values[timer + _CTL]
        met = control & _ENABLE and self.count(timer) >= self.values[timer]
        return control | (_ISTATUS if met else 0)

    def _next(self, timer: int) -> int | None:
        """The clock value at which the output of a timer changes."""
        if self.values[timer + _CTL] & (_ENABLE | _IMASK) != _ENABLE:
            return None
        count, compare = self.count(timer), self.values[timer]
        return self.wiring.now() + (compare if count < compare else _U64 + 1) - count

    @property
    def deadline(self) -> int | None:
        """The clock value at which an output changes next."""
        physical = self._next(_PHYSICAL)
        virtual = self._next(_VIRTUAL) if self._virtual_irq else None
        return physical if virtual is None else virtual if physical is None else min(physical, virtual)

    def drive(self) -> None:
        """Drive the interrupts: levels, while a timer is enabled, its condition is met, and it is not masked."""
        self.wiring.line(self.status(_PHYSICAL) & (_ISTATUS | _IMASK) == _ISTATUS)
        if self.has_virtual:
            self.wiring.signal(self._virtual_irq, self.status(_VIRTUAL) & (_ISTATUS | _IMASK) == _ISTATUS)

    # -- accesses ----------------------------------------------------------------------------------------------------
    def settle(self) -> None:
        """Let every word of an access see the same time, which is that of the access."""
        self.wiring.follow()

    def load(self, at: int, secure: bool) -> int:
        """Read a word of either view."""
        register = self._allowed(at, secure)
        return 0 if register is None else self.registers.read(self, register)

    def store(self, at: int, value: int, secure: bool) -> None:
        """Write a word of either view."""
        register = self._allowed(at, secure)
        if register is not None:
            self.registers.write(self, register, value)

    def _allowed(self, at: int, secure: bool) -> int | None:
        """The register at offset ``at`` of the device, if the access reaches one."""
        el0, number = self._el0, self._number
        in_el0 = el0 is not None and el0 <= at < el0 + GRANULE_SIZE
        register = at - el0 if el0 is not None and in_el0 else at
        if not self._control.is_open(number, secure):
            return None
        if register == _EL0ACR:
            return None if in_el0 or el0 is None else register
        rule = _RULES.get(register)
        if rule is None or (rule[2] and not self._virtual_irq) or not self._control.access(number) & rule[0]:
            return None
        return None if in_el0 and not self.values[_EL0ACR] & rule[1] else register

    def _frequency(self) -> int:
        return self._control.values[CntCtlBase.CNTFRQ]

    def _virtual_offset(self) -> int:
        return self._control.offset(self._number)

    registers = RegisterTable(
        *pair("CNTPCT", CntBase.CNTPCT, _count(_PHYSICAL)),
        *pair("CNTVCT", CntBase.CNTVCT, _count(_VIRTUAL)),
        Register("CNTFRQ", CntBase.CNTFRQ, read=_frequency),
        Register("CNTEL0ACR", CntBase.CNTEL0ACR, writable=_CNTEL0ACR),
        *pair("CNTVOFF", CntBase.CNTVOFF, _virtual_offset),
        *_timer("CNTP", _PHYSICAL),
        *_timer("CNTV", _VIRTUAL),
    )
