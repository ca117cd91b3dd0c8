"""What is known of a failed run: the state that it left, as the rules ask for it. Nothing of it changes the machine."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cca_arch.sysregs import (
    FSC_LEVEL,
    VECTOR_LOWER,
    VECTOR_SPX,
    VECTOR_TABLE,
    AbortEsr,
    DataAbortEsr,
    Ec,
    Fsc,
    Pstate,
    Vector,
)
from cca_arch.types import GRANULE_SIZE, INSTRUCTION_SIZE, Access, SecurityState
from cca_platform.errors import MachineError
from cca_platform.isa import access as memory_access
from cca_platform.isa.decoder import decode
from cca_platform.isa.names import branch_target
from cca_platform.isa.names import name as named
from cca_platform.pe.recent import Taken, began, recent

from ..cpu import Registers
from ..walker import Found, Walker
from .waiting import Interrupts

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_platform.pe.refused import Refused

    from ..results import Reason
    from ..symbols import Symbols
    from ..views import RttView

__all__ = ["Scene"]

_U64: Final = (1 << 64) - 1
_ABORTS: Final = (Ec.INSTRUCTION_ABORT, Ec.INSTRUCTION_ABORT_SAME, Ec.DATA_ABORT, Ec.DATA_ABORT_SAME)
_FETCHES: Final = (Ec.INSTRUCTION_ABORT, Ec.INSTRUCTION_ABORT_SAME, Ec.PC_ALIGNMENT)
_CALLS: Final = (Ec.SVC, Ec.HVC)
_KIND: Final = 0x180  # of the offset of a vector
_KINDS: Final = {Vector.IRQ: "IRQ", Vector.FIQ: "FIQ", Vector.SERROR: "SError"}
_FRAMES: Final = 0x10000  # of a few functions on a stack
_LOOP: Final = 64  # instructions of a loop that is looked at


class Scene:
    """One vCPU or PE of a failed run, named ``who``, and what it runs on.

    ``regs`` gives its registers by name. ``ranges`` are its memory, as (base, size); ``shared`` is the bit of an IPA
    that a Realm shares with the host, 0 elsewhere.
    """

    def __init__(
        self,
        *,
        reason: "Reason",
        what: str,
        who: str,
        pe: "Pe",
        security: SecurityState,
        regs: Any,
        symbols: "Symbols",
        ranges: Sequence[tuple[int, int]],
        rtt: "RttView | None" = None,
        shared: int = 0,
        ipa_width: int = 0,
        silent: bool = False,
    ) -> None:
        self.reason = reason
        self.what = what
        self.who = who
        self.pe = pe
        self.security = security
        self.regs = regs
        self.symbols = symbols
        self.ranges = ranges
        self.rtt = rtt
        self.shared = shared
        self.ipa_width = ipa_width
        self.silent = silent
        self.interrupts: Interrupts | None = None
        """Its interrupts, if there is an interrupt controller to look at."""
        self.unclaimed: list[str] = []
        """The places without a device that it has accessed."""
        self.refused: tuple[Refused, ...] = tuple(call for call in pe.refused if call.security == security)
        """The calls of this world that were refused last."""
        self.realm = security is SecurityState.REALM

    # -- registers ----------------------------------------------------------------------------------------------
    def reg(self, name: str) -> int:
        """A register by name; 0 if it cannot be had."""
        return self.had(name) or 0

    def had(self, name: str) -> int | None:
        """A register by name; None if it cannot be had."""
        if name == "sp" and not isinstance(self.regs, Registers):  # a REC keeps both
            name = f"sp_el{self.el if self.pstate.sp else 0}"
        try:
            return int(getattr(self.regs, name))
        except (AttributeError, MachineError):
            return None

    @cached_property
    def pc(self) -> int:
        """PC at the end."""
        return self.reg("pc")

    @cached_property
    def pstate(self) -> Pstate:
        """PSTATE at the end."""
        return Pstate(self.reg("pstate"))

    @cached_property
    def el(self) -> int:
        """The exception level at the end."""
        return int(self.pstate.el)

    def control(self, name: str) -> int:
        """A control register of the level whose exceptions or tables matter: ``sctlr``, ``vbar`` ..."""
        return self.reg(f"{name}_el{self.own}")

    @cached_property
    def own(self) -> int:
        """The exception level whose vectors and translation tables the code uses."""
        return 2 if (self.first.target if self.first else self.el) == 2 else 1

    # -- the first exception ------------------------------------------------------------------------------------
    @cached_property
    def row(self) -> list[Taken]:
        """The recent exceptions of the PE."""
        return recent(self.pe)

    @cached_property
    def first(self) -> Taken | None:
        """The exception that it all began with: of an endless series, or the one whose handler still runs."""
        from ..results import Reason

        if self.reason is Reason.STUCK:
            return began(self.pe)
        if not self.row:
            return None
        last = self.row[-1]
        target = f"_el{last.target}"
        current = self.reg(f"elr{target}") == last.pc and self.reg(f"esr{target}") == last.esr
        own = self.el == last.target and self.pstate.daif
        return began(self.pe) if current and own and not self._came_back(last) else None

    def _came_back(self, last: Taken) -> bool:
        """True if what an exception interrupted goes on: in the same function, or in one that called it.

        ELR and ESR stay as they were, after a call and if the handler needs no ERET. A call that is made again has come
        back; a fault that comes again is not handled.
        """
        call = last.ec in _CALLS
        if last.count > 1 or 0 <= self.pc - (last.vbar & -VECTOR_TABLE) < VECTOR_TABLE:
            return call and last.count > 1
        if call and 0 <= self.pc - last.pc < _LOOP * INSTRUCTION_SIZE:
            return True
        returned = last.el == self.el and last.sp < self.reg("sp") <= last.sp + _FRAMES
        try:
            return returned or self.symbols.together(self.pc, last.pc)
        except MachineError:  # the file has changed since, or is no more
            return returned

    @property
    def began_at(self) -> Taken:
        """The first exception, where a rule has made sure that there is one."""
        assert self.first is not None
        return self.first

    @property
    def cause(self) -> int:
        """The address of its instruction: PC is past SVC and HVC."""
        first = self.began_at
        return first.pc - INSTRUCTION_SIZE if first.ec in _CALLS else first.pc

    @property
    def ec(self) -> int:
        """Its class; -1 without one."""
        return -1 if self.first is None else self.first.ec

    @property
    def is_abort(self) -> bool:
        """True for an instruction or data abort."""
        return self.ec in _ABORTS

    @property
    def is_fetch(self) -> bool:
        """True if the code could not be fetched."""
        return self.ec in _FETCHES

    @property
    def is_write(self) -> bool:
        """True for a data abort on a write."""
        return self.is_abort and not self.is_fetch and bool(DataAbortEsr(self.began_at.esr).wnr)

    @property
    def fault(self) -> int:
        """The fault status code of an abort, without its level; -1 for anything else."""
        if not self.is_abort:
            return -1
        fsc = int(AbortEsr(self.began_at.esr).fsc)
        return fsc if fsc in (Fsc.ALIGNMENT, Fsc.EXTERNAL, Fsc.GPF, Fsc.UNSUPPORTED_EXCLUSIVE) else fsc & ~FSC_LEVEL

    @property
    def fault_level(self) -> int:
        """The level of the entry that refused an abort."""
        return int(self.began_at.esr & FSC_LEVEL)

    @property
    def fpen(self) -> int:
        """CPACR_EL1.FPEN."""
        return self.reg("cpacr_el1") >> 20 & 3

    @property
    def far(self) -> int:
        """The address of an abort."""
        return self.began_at.pc if self.is_fetch else self.began_at.far & _U64

    @property
    def access(self) -> Access:
        """What kind of access it was."""
        return Access.FETCH if self.is_fetch else Access.WRITE if self.is_write else Access.READ

    @property
    def verb(self) -> str:
        """The same as a verb."""
        return {Access.FETCH: "executes", Access.WRITE: "writes", Access.READ: "reads"}[self.access]

    @cached_property
    def word(self) -> int:
        """The instruction of the first exception; -1 if it cannot be read."""
        return -1 if self.first is None or self.is_fetch else self.instruction(self.cause)

    @cached_property
    def uses_stack(self) -> bool:
        """True if that instruction accesses the stack by SP."""
        access = decode(self.word) if self.word >= 0 else None
        return access is not None and access.rn == 31 and access.mode is not memory_access.Mode.LITERAL

    @property
    def near_stack(self) -> bool:
        """True if it accesses the stack, by SP or by an address near it."""
        return self.uses_stack or 0 <= abs(self.far - self.began_at.sp) < GRANULE_SIZE < self.began_at.sp

    # -- memory -------------------------------------------------------------------------------------------------
    @cached_property
    def walker(self) -> Walker:
        """The translation regime, as the registers describe it at the end."""
        el = self.first.el if self.first is not None else self.el
        return Walker(self.pe, int(self.security), el, self.reg)

    @cached_property
    def found(self) -> Found:
        """The translation of the address of the first exception."""
        return self.walker.translate(self.far, self.access)

    @cached_property
    def ipa(self) -> int | None:
        """Where stage 1 leads for an abort: an IPA, without stage 2 a PA; None if it leads nowhere."""
        return self.found.ipa if self.is_abort else None

    def in_memory(self, address: int) -> bool:
        """True if an address, without the shared bit, is the memory of this software."""
        return any(base <= address < base + size for base, size in self.ranges)

    @property
    def way_out(self) -> str:
        """How this software ends a run."""
        if self.security is SecurityState.SECURE:
            return "return to EL3 by SMC"
        return "end the run by PSCI SYSTEM_OFF" + (" or a host call" if self.realm else "")

    # -- vectors ------------------------------------------------------------------------------------------------
    def interrupt_vector(self, pc: int, vbar: int) -> str | None:
        """What has its vector at ``pc``: IRQ, FIQ, SError; None for synchronous exceptions, and outside the table."""
        if not vbar <= pc < vbar + VECTOR_TABLE:
            return None
        kind = Vector(pc - vbar & _KIND)
        return None if kind is Vector.SYNCHRONOUS else _KINDS[kind]

    @cached_property
    def vector(self) -> int:
        """The address of the vector that the first exception went to."""
        first = self.began_at
        quarter = VECTOR_LOWER if first.el != first.target else VECTOR_SPX if Pstate(first.pstate).sp else 0
        return (first.vbar & -VECTOR_TABLE) + quarter

    @property
    def memory(self) -> str:
        """Its memory in words."""
        return ", ".join(f"{base:#x} to {base + size - 1:#x}" for base, size in self.ranges)

    def entry(self, ipa: int) -> tuple[str | None, str | None]:
        """(HIPAS, RIPAS) of an IPA of a Realm, as its tables say."""
        if self.rtt is None or ipa >> self.rtt.ipa_width:
            return None, None
        hipas, _, ripas = self.rtt[ipa].state.partition(",")
        return hipas, ripas or None

    @cached_property
    def ripas(self) -> str | None:
        """The RIPAS of the address of the first exception."""
        return None if self.ipa is None or self.ipa & self.shared else self.entry(self.ipa)[1]

    def instruction(self, pc: int) -> int:
        """The instruction word at an address; -1 if there is none."""
        found = self.walker.translate(pc)
        if found.stage or found.outside or found.pa is None or found.gpf:
            return -1
        return int.from_bytes(self.pe.machine.memory.backdoor.read(found.pa & ~3, 4), "little")

    # -- places -------------------------------------------------------------------------------------------------
    def place(self, address: int) -> str:
        """An address by symbol and source line: ``0x80000010 <main+0x10> (mine.c:12)``."""
        try:
            symbol, line = self.symbols.place(address), self.symbols.line(address)
        except MachineError:  # the file has changed since, or is no more
            return f"{address:#x}"
        if symbol is not None and not self.in_memory(address):
            symbol = None
        return f"{address:#x}" + (f" <{symbol}>" if symbol else "") + (f" ({line})" if line else "")

    def short(self, address: int) -> str:
        """An address as briefly as it can be named: ``main+0x10 (mine.c:12)``."""
        place = self.place(address)
        _, _, symbol = place.partition(" <")
        return symbol.replace(">", "", 1) if symbol else place

    @property
    def at(self) -> str:
        """The place of the first exception, or of PC without one."""
        return self.short(self.cause if self.first is not None else self.pc)

    @property
    def caller(self) -> str:
        """Where a jump to a wrong address came from, as X30 tells."""
        lr = self.began_at.lr
        return f", called by {self.short(lr - 4)}" if lr and self.instruction(lr - 4) >= 0 else ""

    # -- loops --------------------------------------------------------------------------------------------------
    @cached_property
    def loop(self) -> list[tuple[int, int]]:
        """(address, instruction) of the loop that PC is in, from its first one on; empty if there is none in sight."""
        ahead, at = [], self.pc
        for _ in range(_LOOP):
            word = self.instruction(at)
            if word < 0:
                return []
            ahead.append((at, word))
            target = branch_target(word, at)
            if target is not None and target <= self.pc and at - target < 4 * _LOOP:
                before = [(back, self.instruction(back)) for back in range(target, self.pc, 4)]
                return before + ahead
            if word & 0xFC000000 == 0x14000000 and target is not None:
                at = target
                continue
            if word & 0xFFFFFC1F in (0xD61F0000, 0xD65F0000):
                return []
            at += 4
        return []

    @cached_property
    def mnemonics(self) -> list[str]:
        """The instructions of that loop."""
        return [named(word, at) for at, word in self.loop if word >= 0]

    @property
    def spins(self) -> bool:
        """True if the loop is a branch to itself."""
        return self.instruction(self.pc) == 0x14000000
