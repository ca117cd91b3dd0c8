"""Unicorn as the processor. Only this package imports it.

An :class:`Engine` runs AArch64 code of every world and level on the board's DRAM. It provides the PE above it with runs
until an event, bulk register transfers through the PE block, and invalidation of the TLB and of translated code. All
hooks except the interrupt hook are native (:mod:`cca_platform.engine.hooks`).
"""

import ctypes
import mmap
import struct
from collections.abc import Callable, Collection
from enum import Enum
from typing import Final

from cca_platform.engine import library  # before Unicorn: it chooses which

# isort: split
from unicorn import Uc, UcError, arm64_const, unicorn_const

from cca_arch.sysregs import (
    CPTR_EL2_RES1,
    PMU_COUNTERS,
    REGISTERS,
    SCR_EL3_RES1,
    SCTLR_EL1_RES1,
    SCTLR_EL2_RES1,
    Encoding,
    Hcr,
    Mdcr,
    Scr,
)
from cca_platform.engine import fills, general, hooks, maintenance, registers, sites, synchronous
from cca_platform.engine.monitor import Monitor
from cca_platform.engine.tables import EL2_REPLACED_ROWS, EL2_ROWS, TABLES
from cca_platform.isa.frame import EL1_FRAME_SIZE, SAVED_SIZE
from cca_platform.memory.memory import Memory
from cca_platform.memory.words import Words, address_of, words
from cca_platform.models import Model
from cca_platform.native import block as w

__all__ = ["Engine", "Stop"]

_library = library.LOADED
_emulate = _library.uc_emu_start  # without the layers of Unicorn's binding: all hooks are ours
_emulate.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_size_t)
_CLREX: Final = struct.pack("<3I", 0xD503_3F5F, 0x1400_0001, 0)  # CLREX; B .+4; UDF #0
_ON_INTERRUPT: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
_ON_CODE: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_AT_WFE: Final = 1  # P_AT_SITE
_ON_UNMAPPED: Final = ctypes.CFUNCTYPE(
    ctypes.c_bool, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
)(lambda *access: False)
_NEVER_CALLED: Final = ctypes.cast(_ON_UNMAPPED, ctypes.c_void_p).value or 0
_LAST: Final = (1 << 64) - 1
_EVERYWHERE: Final = (1, 0)  # the range of a hook: from above to means no bounds
# What the model's reset omits: RES1 bits, EL1 without AArch32, and no PMU of its own (MDCR_EL3.TPM traps every access).
_RESET: Final = {
    "scr_el3": Scr.make(ns=1, hce=1, rw=1) | SCR_EL3_RES1,
    "mdcr_el3": Mdcr.tpm.mask,
    "mdcr_el2": Mdcr.make(hpmn=PMU_COUNTERS),
    "hcr_el2": Hcr.rw.mask,
    "sctlr_el2": SCTLR_EL2_RES1,
    "sctlr_el1": SCTLR_EL1_RES1,
    "cptr_el2": CPTR_EL2_RES1,
}


def _function(name: str) -> int:
    return int(ctypes.cast(getattr(_library, name), ctypes.c_void_p).value or 0)


class Stop(Enum):
    """Why an engine stopped."""

    LEFT = "left"  # on_interrupt ended the run
    REFUSED = "refused"  # a TLB fill refused an access: P_FAULT_* tells why
    BUDGET = "budget"  # its slice, its limit or the time until a timer change has run out
    HALTED = "halted"  # WFI; PC is past it
    UNALIGNED = "unaligned"  # the next instruction is an ordered access that is not aligned
    EVENT = "event"  # the next instruction is WFE
    BEFORE = "before"  # the next instruction is one of ``stop_before``, or ``run`` was to execute only one


class Engine:
    """A Unicorn engine on the DRAM of ``memory``; ``block`` is the PE block, which it completes.

    ``on_interrupt(number)`` is called inside the interrupt hook with the registers in the block. It may replace whole
    register files, and returns True if the engine may continue with the contents of the block. ``on_gic(what,
    value)`` is called inside the hooks of MRS and MSR (:mod:`cca_platform.engine.icc`); False: UNDEFINED or trapped.
    ``on_time()`` is called when code looks at the counter or at a timer, if these follow the host's clock.
    """

    __deletable__ = ("_uc", "monitor")  # by ``close``, which a compiled class must say
    LEFT: Final = Stop.LEFT
    REFUSED: Final = Stop.REFUSED
    HALTED: Final = Stop.HALTED
    EVENT: Final = Stop.EVENT
    UNALIGNED: Final = Stop.UNALIGNED
    BEFORE: Final = Stop.BEFORE

    def __init__(
        self,
        memory: Memory,
        block: Words,
        on_interrupt: Callable[[int], bool],
        on_gic: Callable[[int, int], bool],
        model: Model,
        on_time: Callable[[], None] | None = None,
    ) -> None:
        self.block = block
        self._words = memoryview(block).cast("B").cast("Q")
        self._address = address_of(block)
        self._memory = memory
        self._on_interrupt = on_interrupt
        self._on_gic = on_gic
        self._left = False
        uc = self._uc = Uc(unicorn_const.UC_ARCH_ARM64, unicorn_const.UC_MODE_ARM)
        number = getattr(arm64_const, f"UC_CPU_ARM64_{model.engine}")
        uc.ctl_set_cpu_model(number)
        self.monitor = Monitor(uc, number)
        self._el1_rows, self._key_rows, self._saved_rows = (address_of(one) for one in TABLES[model.engine])
        uc.ctl_set_page_size(4096)
        uc.ctl_exits_enabled(True)
        machine = memory.block
        for bank in range(int(machine[w.M_BANKS])):
            base, size, host, _ = (int(word) for word in machine[w.M_BANK + 4 * bank : w.M_BANK + 4 * bank + 4])
            uc.mem_map_ptr(base, size, unicorn_const.UC_PROT_ALL, host)
        self._clrex = mmap.mmap(-1, 4096)
        self._clrex[: len(_CLREX)] = _CLREX
        uc.mem_map_ptr(w.CLREX_PA, 4096, unicorn_const.UC_PROT_ALL, address_of(self._clrex))
        uc.ctl_set_tlb_mode(unicorn_const.UC_TLB_VIRTUAL)
        self._handle = ctypes.c_void_p(ctypes.cast(uc._uch, ctypes.c_void_p).value)
        block[w.P_UC] = self._handle.value or 0
        block[w.P_UC_REG_READ] = _function("uc_reg_read")
        block[w.P_UC_REG_WRITE] = _function("uc_reg_write")
        block[w.P_UC_REG_BATCH] = _function("uc_reg_write_batch")
        block[w.P_UC_EMU_STOP] = _function("uc_emu_stop")
        block[w.P_UC_CTL] = _function("uc_ctl")
        block[w.P_UC_HOOK_ADD] = _function("uc_hook_add")
        block[w.P_ON_LOOK], block[w.P_ON_SITE] = hooks.ON_LOOK, sites.ON_SITE
        self._sites, self._ordered = words(2 * w.SITES), words(w.ORDERED)
        block[w.P_ORDERED], block[w.P_ORDERED_USED] = address_of(self._ordered), 0
        block[w.P_SITES], block[w.P_SITES_USED] = address_of(self._sites), 0
        self._shadow = words(EL1_FRAME_SIZE // 8)
        block[w.P_SHADOW], block[w.P_SHADOW_VALID] = address_of(self._shadow), 0
        self._state = words(SAVED_SIZE // 8)
        block[w.P_REGIME] = -1
        clock = address_of(machine) + 8 * w.M_RETIRED
        block[w.P_BUILT] = library.prepare(self._handle, clock, self._address + 8 * w.P_BLOCK_PC)
        self._hook(unicorn_const.UC_HOOK_TLB_FILL, fills.ON_FILL)
        # such a hook keeps the engine from searching its TLB whenever it has translated code of that range
        self._hook(unicorn_const.UC_HOOK_MEM_FETCH_UNMAPPED, _NEVER_CALLED, where=(memory.top, _LAST))
        self._hook(unicorn_const.UC_HOOK_BLOCK, hooks.ON_BLOCK)
        self._hook(unicorn_const.UC_HOOK_INSN, hooks.ON_MRS, arm64_const.UC_ARM64_INS_MRS)
        self._hook(unicorn_const.UC_HOOK_INSN, hooks.ON_MSR, arm64_const.UC_ARM64_INS_MSR)
        self._hook(unicorn_const.UC_HOOK_INSN, maintenance.ON_SYS, arm64_const.UC_ARM64_INS_SYS)
        self._error: BaseException | None = None
        self._stops: frozenset[int] = frozenset()
        self._watched: dict[tuple[int, int], int] = {}  # the range of each code hook, and its handle
        self.passing = -1  # the instruction that the last run stopped before, which the next one passes
        self._before = -1
        self._passed = (-1, 0)  # the last instruction that was passed, and when
        self._on_code = _ON_CODE(self._code)
        self._callback = _ON_INTERRUPT(self._interrupt)
        self._gic_callback = _ON_INTERRUPT(self._gic)
        block[w.P_ON_INTERRUPT] = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        block[w.P_ON_GIC] = ctypes.cast(self._gic_callback, ctypes.c_void_p).value or 0
        self._hook(unicorn_const.UC_HOOK_INTR, synchronous.ON_INTERRUPT)
        self._on_time, self._time_callback = on_time, _ON_INTERRUPT(self._time)
        block[w.P_ON_TIME] = ctypes.cast(self._time_callback, ctypes.c_void_p).value or 0 if on_time else 0
        for name, value in _RESET.items():
            self.write_system(REGISTERS[name], value)
        wanted = block[w.P_X : w.P_PSTATE + 1]
        general.read_general(self._address)  # its contents: only differences are written back
        block[w.P_X : w.P_PSTATE + 1] = wanted

    def _hook(self, kind: int, callback: int, *extra: int, where: tuple[int, int] = _EVERYWHERE) -> int:
        handle = ctypes.c_size_t()
        status = _library.uc_hook_add(
            self._handle,
            ctypes.byref(handle),
            ctypes.c_int(kind),
            ctypes.c_void_p(callback),
            ctypes.c_void_p(self._address),
            *(ctypes.c_uint64(word) for word in where),
            *(ctypes.c_int(word) for word in extra),
        )
        if status:
            raise UcError(status)
        return handle.value

    def stop_before(self, addresses: Collection[int]) -> None:
        """Stop ``run`` before each instruction at these virtual addresses, in any translation regime."""
        self._stops = frozenset(addresses)
        self.passing = -1

    def _watch(self, ranges: Collection[tuple[int, int]]) -> None:
        """Set the code hooks on these ranges. Only code translated while a hook exists calls it; other code is free."""
        if self._watched.keys() == set(ranges):
            return
        for handle in self._watched.values():
            _library.uc_hook_del(self._handle, ctypes.c_size_t(handle))
        function = ctypes.cast(self._on_code, ctypes.c_void_p).value or 0
        self._watched = {one: self._hook(unicorn_const.UC_HOOK_CODE, function, where=one) for one in ranges}
        self.flush_code()

    def forget_sites(self) -> None:
        """Remove the hooks of :mod:`cca_platform.engine.sites`, which pages set again once the TLB is flushed."""
        for number in range(min(self._words[w.P_SITES_USED], w.SITES)):
            _library.uc_hook_del(self._handle, ctypes.c_size_t(int(self._sites[2 * number + 1])))
        self._words[w.P_SITES_USED] = 0
        self.flush_code()

    @property
    def ordered(self) -> tuple[int, ...] | None:
        """The addresses of ordered accesses whose alignment is checked; None if that were too many."""
        used = self._words[w.P_ORDERED_USED]
        return None if used > w.ORDERED else tuple(self._ordered[:used])

    @ordered.setter
    def ordered(self, addresses: tuple[int, ...] | None) -> None:
        if addresses != self.ordered:
            self._words[w.P_ORDERED_USED] = w.ORDERED + 1 if addresses is None else len(addresses)
            for at, one in enumerate(addresses or ()):
                self._ordered[at] = one
            self.forget_sites()

    def _code(self, uc: int, address: int, size: int, data: int) -> None:
        """UC_HOOK_CODE, before an instruction: stop, unless the last run already stopped here."""
        if self._words[w.P_FETCHED]:
            return  # of clear_exclusive, not of the guest
        if address == self.passing:
            self.passing, self._passed = -1, (address, self._words[w.P_RETIRED])
            return
        self._before = address
        _library.uc_emu_stop(self._handle)

    def _interrupt(self, block: int, number: int, nothing: int) -> int:
        """What the interrupt hook leaves to Python, in a form that native code can call; the result is nothing."""
        try:
            general.read_general(self._address)
            if self._on_interrupt(number):
                general.write_general(self._address)
                return 0
        except BaseException as error:
            return self._leave(error)
        return self._leave()

    def _time(self, block: int, nothing: int, neither: int) -> int:
        """What lets the host's time in, in a form that native code can call; the result is nothing."""
        try:
            assert self._on_time is not None
            self._on_time()
        except BaseException as error:
            return self._leave(error)
        return 0

    def _gic(self, block: int, what: int, value: int) -> int:
        """What the hooks of MRS and MSR leave to Python: an access to the GIC. 0 if it is done."""
        try:
            return int(not self._on_gic(what, value))
        except BaseException as error:
            return self._leave(error)

    def _leave(self, error: BaseException | None = None) -> int:
        """Have the engine stop within a hook. C code is below, so ``run`` raises the error."""
        if error is not None:
            self._error = error
        self._left = True
        _library.uc_emu_stop(self._handle)
        return 0

    def run(self, alone: bool = False, direct: bool = True) -> Stop:
        """Run from the PC of the block until an event; with ``alone``, only the first instruction.

        ``direct``: native code may do what refused accesses come to. It never does while single instructions count.

        On return the block has the registers: those of the engine or, after ``Stop.LEFT``, those that ``on_interrupt``
        put there. Exceptions from ``on_interrupt`` are raised here.
        """
        words = self._words
        general.write_general(self._address)
        start, self._before = words[w.P_PC], -1
        if alone or self._stops or self._watched:
            self._watch((_EVERYWHERE,) if alone else [(address, address) for address in self._stops])
            self.passing = start if alone else self.passing
            direct = False
        words[w.P_DIRECT] = direct
        # not earlier: without a hook, the code is looked up once more
        words[w.P_FAULT_KIND] = words[w.P_STOPPED] = words[w.P_AT_SITE] = 0
        self._left = False
        status = _emulate(self._handle, start, 0, 0, 0)
        while status and words[w.P_RESUMED]:  # by an engine that cannot go on by itself
            status = _emulate(self._handle, words[w.P_PC], 0, 0, 0)
        if status:
            if not words[w.P_FAULT_KIND]:
                raise UcError(status)
            general.read_general(self._address)
            return Stop.REFUSED
        if self._left:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return Stop.LEFT
        general.read_general(self._address)
        if words[w.P_AT_SITE]:
            if not self._stops_at(words[w.P_PC], start, alone):
                self.passing = -1
                return Stop.EVENT if words[w.P_AT_SITE] == _AT_WFE else Stop.UNALIGNED
            self._before = words[w.P_PC]
        if self._before >= 0:
            self.passing = -1 if alone else self._before
            return Stop.BEFORE
        return Stop.BUDGET if words[w.P_STOPPED] else Stop.HALTED

    def _stops_at(self, pc: int, start: int, alone: bool) -> bool:
        """Whether a run from ``start`` must stop before ``pc``, an instruction whose own hook came first."""
        if alone:
            return pc != start
        return pc in self._stops and pc != self.passing and (pc, self._words[w.P_RETIRED]) != self._passed

    def save(self, frame: int) -> None:
        """Store the EL1&0 register file to memory at host address ``frame``."""
        registers.save_el1(self._address, self._el1_rows, frame)

    def load(self, frame: int) -> bool:
        """Load the EL1&0 register file from memory at host address ``frame``; True if the TLB must be flushed."""
        return bool(registers.load_el1(self._address, self._el1_rows, frame))

    def clear_keys(self) -> None:
        """Set the keys of pointer authentication to zero."""
        registers.clear_file(self._address, self._key_rows)

    def save_el2(self, frame: int, replaced: bool = False) -> None:
        """Store the EL2 registers to memory, or only those of ``EL2_REPLACED``."""
        registers.save_el2(self._address, EL2_REPLACED_ROWS if replaced else EL2_ROWS, frame)

    def load_el2(self, frame: int, replaced: bool = False) -> None:
        """Load the EL2 registers from memory, or only those of ``EL2_REPLACED``."""
        registers.load_file(self._address, EL2_REPLACED_ROWS if replaced else EL2_ROWS, frame, 0)

    def save_state(self, frame: int) -> None:
        """Store the registers of saved state, ``frame.SAVED``, to memory at host address ``frame``."""
        registers.store_file(self._address, self._saved_rows, frame)

    def load_state(self, frame: int) -> None:
        """Load the registers of saved state that differ; the TLB must be flushed afterwards."""
        held = address_of(self._state)
        registers.store_file(self._address, self._saved_rows, held)
        registers.load_file(self._address, self._saved_rows, frame, held)

    def read_system(self, encoding: Encoding) -> int:
        """Read a system register."""
        return int(registers.get_system(self._address, encoding.packed)) & 0xFFFF_FFFF_FFFF_FFFF

    def write_system(self, encoding: Encoding, value: int) -> None:
        """Write a system register, which must be one that the model stores (trap 18 of Unicorn)."""
        registers.put_system(self._address, encoding.packed, _signed(value))
        self.block[w.P_REGIME] = -1

    def read_vector(self, number: int) -> int:
        """Read V0 to V31, 128 bits each."""
        return int(self._uc.reg_read(arm64_const.UC_ARM64_REG_Q0 + number))

    def write_vector(self, number: int, value: int) -> None:
        """Write V0 to V31, 128 bits each."""
        self._uc.reg_write(arm64_const.UC_ARM64_REG_Q0 + number, value)
        self.block[w.P_SHADOW_VALID] = 0

    def set_el2(self, hcr: int, vtcr: int, vttbr: int, vmpidr: int, mdcr: int, vpidr: int) -> None:
        """Set the EL2 controls of a Python EL2, in the block and where the engine needs them."""
        registers.set_el2(self._address, hcr, vtcr, _signed(vttbr), vmpidr, mdcr, vpidr)

    def clear_exclusive(self) -> None:
        """Execute CLREX, because other PEs will have run before the code resumes. The TLB is not flushed."""
        block, machine = self.block, self._memory.block
        counted = block[w.P_RETIRED], block[w.P_BLOCK_PC], block[w.P_BLOCK_SIZE], block[w.P_LIMIT], machine[w.M_RETIRED]
        look, block[w.P_PMU_LOOK] = block[w.P_PMU_LOOK], 0
        machine[w.M_BUDGET] = block[w.P_LIMIT] = machine[w.M_RETIRED] + 1  # one block
        block[w.P_FETCHED] = w.CLREX_PA
        self._uc.emu_start(w.CLREX_VA, 0)
        block[w.P_FETCHED] = 0
        block[w.P_RETIRED], block[w.P_BLOCK_PC], block[w.P_BLOCK_SIZE], block[w.P_LIMIT], machine[w.M_RETIRED] = counted
        block[w.P_PMU_LOOK] = look
        block[w.P_HELD + w.P_PC - w.P_X] = w.CLREX_VA

    def flush_tlb(self) -> bool:
        """Drop every translation of every regime; returns True if the eras of TLB entries start over."""
        return bool(registers.flush_tlb(self._address))

    def flush_el1(self) -> None:
        """Drop the translations of the EL1&0 regime, but not those of EL2."""
        registers.flush_el1(self._address)

    def drop_code(self, page: int) -> None:
        """Drop the translated code of one page, given by its physical address, and flush the TLB."""
        registers.drop_code(self._address, page)

    def flush_code(self) -> None:
        """Drop all translated code."""
        self._uc.ctl_flush_tb()

    def close(self) -> None:
        """Release the engine; the memory may be released afterwards."""
        if self._handle.value:
            del self._uc, self.monitor
            self._handle = ctypes.c_void_p()


def _signed(value: int) -> int:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    return value - (value >> 63 << 64)
