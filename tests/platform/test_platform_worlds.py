"""The granule protection check as real code in three worlds meets it."""

from collections.abc import Callable
from typing import Any

import pytest

from cca_arch.types import Gpi, Pas, SecurityState

TARGET = 0x8020_0000
TABLE = 0x8021_0000
GOOD_TABLE = 0x8022_0000
_GPI = {Pas.SECURE: Gpi.SECURE, Pas.NON_SECURE: Gpi.NON_SECURE, Pas.ROOT: Gpi.ROOT, Pas.REALM: Gpi.REALM}
_WORLDS = (SecurityState.SECURE, SecurityState.NON_SECURE, SecurityState.REALM)
_EC_DATA, _EC_FETCH = 0x25, 0x21
_BLOCK = 0x8000_0000 | 0x401 | 0x300  # AF, inner shareable, read-write at EL1, attribute 0
_TCR = 25 | 25 << 16 | 0b10 << 30 | 5 << 32  # 39-bit halves, 4 KiB granules, 48-bit output


@pytest.mark.parametrize("owner", Pas)
@pytest.mark.parametrize("state", _WORLDS)
class TestCode:
    """Real code in a world gets a GPF on every granule that is not its world's: 0x28, and 0x24 + level on a walk."""

    def test_load(self, bench: Any, state: SecurityState, owner: Pas) -> None:
        """A load is a Data Abort with DFSC 0x28 and FAR = the address; it reads nothing."""
        self._data(bench, state, owner, "ldr x2, [x1]; smc #0", write=False)

    def test_store(self, bench: Any, state: SecurityState, owner: Pas) -> None:
        """A store is a Data Abort with WnR; it writes nothing."""
        self._data(bench, state, owner, "str x3, [x1]; mov x2, x3; smc #0", write=True)

    @staticmethod
    def _data(bench: Any, state: SecurityState, owner: Pas, source: str, write: bool) -> None:
        bench.vectors()
        bench.protect({TARGET: _GPI[owner]})
        raw = bench.machine.memory.backdoor
        raw.write64(TARGET, 0x1122)
        x = bench.run(source, state, x1=TARGET + 8 * write, x2=0, x3=0x1122)
        if owner == Pas(state):
            assert (x[2], x[20]) == (0x1122, 0)
            return
        assert x[2] == 0
        assert x[20] == _EC_DATA << 26 | 1 << 25 | write << 6 | 0x28
        assert x[21] == TARGET + 8 * write
        assert raw.read64(TARGET + 8) == 0

    def test_fetch(self, bench: Any, state: SecurityState, owner: Pas) -> None:
        """A fetch is an Instruction Abort with IFSC 0x28, taken before anything of the page is executed."""
        bench.vectors()
        bench.protect({TARGET: _GPI[owner]})
        bench.place(TARGET, "mov x5, #1; smc #0")
        x = bench.run("br x1", state, x1=TARGET, x5=0)
        if owner == Pas(state):
            assert (x[5], x[20]) == (1, 0)
            return
        assert x[5] == 0
        assert x[20:23] == [_EC_FETCH << 26 | 1 << 25 | 0x28, TARGET, TARGET]

    def test_table_walk(self, bench: Any, state: SecurityState, owner: Pas) -> None:
        """A stage 1 table in another world's granule: GPF on the walk at its level (1 here: 0x25)."""
        bench.vectors()
        bench.protect({TABLE: _GPI[owner]})
        raw, pe = bench.machine.memory.backdoor, bench.pe
        for table in (TABLE, GOOD_TABLE):
            raw.write64(table + 8 * 2, _BLOCK)
        raw.write64(TARGET, 0x3344)
        pe.write_sysreg("mair_el1", 0xFF)
        pe.write_sysreg("tcr_el1", _TCR)
        pe.write_sysreg("ttbr0_el1", GOOD_TABLE)
        pe.write_sysreg("ttbr1_el1", TABLE)
        pe.write_sysreg("sctlr_el1", 0x30D0_0801)
        high = 0xFFFF_FF80_0000_0000 | TARGET
        x = bench.run("ldr x2, [x1]; smc #0", state, x1=high, x2=0)
        if owner == Pas(state):
            assert (x[2], x[20]) == (0x3344, 0)
            return
        assert x[2] == 0
        assert x[20:22] == [_EC_DATA << 26 | 1 << 25 | 0x25, high]


class TestSwitch:
    """One PE in turn in several worlds."""

    def test_no_stale_translation(self, bench: Any) -> None:
        """What one world's code has touched is not left in the TLB for another's."""
        bench.vectors()
        bench.protect({TARGET: Gpi.REALM, TARGET + 0x1000: Gpi.SECURE, TARGET + 0x2000: Gpi.NON_SECURE})
        order = (SecurityState.REALM, SecurityState.SECURE, SecurityState.NON_SECURE)
        own = {state: TARGET + 0x1000 * place for place, state in enumerate(order)}
        for state in (*own, *own):
            for owner, page in own.items():
                x = bench.run("mov x20, #0; ldr x2, [x1]; smc #0", state, x1=page)
                assert (x[20] == 0) == (owner == state), (state, owner)


class TestSecureNonSecureBit:
    """Secure stage 1 chooses the PAS of an access by the descriptor's NS bit."""

    @pytest.mark.parametrize("ns", [0, 1])
    @pytest.mark.parametrize("owner", [Pas.SECURE, Pas.NON_SECURE])
    def test_descriptor(self, benches: Callable[..., Any], ns: int, owner: Pas) -> None:
        """NS = 0 reaches Secure granules alone, NS = 1 Non-secure ones alone."""
        bench = benches()
        bench.vectors()
        bench.protect({TARGET: _GPI[owner]})
        raw, pe = bench.machine.memory.backdoor, bench.pe
        raw.write64(GOOD_TABLE + 8 * 2, _BLOCK)
        raw.write64(TABLE + 8 * 2, _BLOCK | ns << 5)
        raw.write64(TARGET, 0x5566)
        pe.write_sysreg("mair_el1", 0xFF)
        pe.write_sysreg("tcr_el1", _TCR)
        pe.write_sysreg("ttbr0_el1", GOOD_TABLE)
        pe.write_sysreg("ttbr1_el1", TABLE)
        pe.write_sysreg("sctlr_el1", 0x30D0_0801)
        x = bench.run("ldr x2, [x1]; smc #0", SecurityState.SECURE, x1=0xFFFF_FF80_0000_0000 | TARGET, x2=0)
        expected = 0x5566 if owner == (Pas.NON_SECURE if ns else Pas.SECURE) else 0
        assert x[2] == expected
        assert (x[20] & 0x3F == 0x28) == (expected == 0)
