"""What the built engine does by itself, the hooks would not have done otherwise."""

import ctypes

import pytest

from cca_arch.sysregs import Encoding
from cca_platform.board import Board
from cca_platform.engine import hooks, library
from cca_platform.engine.registers import XZR
from cca_platform.machine.machine import Machine
from cca_platform.memory.words import address_of
from cca_platform.native import block as w
from cca_platform.native.jit import NATIVE

HOOK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)


class Register(ctypes.Structure):
    """Unicorn's uc_arm64_cp_reg, as the hooks get it."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("crn", "crm", "op0", "op1", "op2")),
        ("value", ctypes.c_uint64),
    )


@pytest.mark.skipif(not NATIVE, reason="the hooks are functions of the host's machine code")
class TestPlain:
    @pytest.mark.parametrize("one", library.PLAIN, ids=str)
    def test_hooks(self, one: Encoding) -> None:
        """The hooks for MRS and MSR leave a plain register to the engine, and change nothing."""
        machine = Machine(Board.load("fvp"))
        pe = machine.pes[0]
        pe.read_sysreg("tpidr_el0")  # so that it has its engine
        register = Register(one.crn, one.crm, one.op0, one.op1, one.op2, 0x1234)
        for hook in (hooks.ON_MRS, hooks.ON_MSR):
            before = bytes(pe.block), bytes(machine.memory.block)
            assert HOOK(hook)(pe.block[w.P_UC], XZR, ctypes.addressof(register), address_of(pe.block)) == 0
            scratch = slice(8 * w.P_SCRATCH, 8 * (w.P_SCRATCH + 12))
            after = bytearray(bytes(pe.block))
            after[scratch] = before[0][scratch]
            assert (bytes(after), bytes(machine.memory.block)) == before
        machine.close()


class TestTier:
    def test_words(self) -> None:
        """The engine knows which tier it is of, and its name goes with the version of the patches."""
        machine = Machine(Board.load("fvp"))
        pe = machine.pes[0]
        pe.read_sysreg("tpidr_el0")
        assert library.tier() == ("built" if pe.words[w.P_BUILT] else "stock")
        assert (library.series() == library.SERIES) is bool(pe.words[w.P_BUILT])
        assert library.describe().startswith(library.tier())
        machine.close()
