"""REC exit to the letter: every byte of run.exit."""

from collections.abc import Callable
from typing import Any

import pytest
from exit_records import (
    DATA,
    FETCH,
    HPFAR,
    ISV,
    MISSING,
    READ_ONLY,
    SECRETS,
    UNPROTECTED,
    at,
    record,
    whole,
)
from realm_code import CALL, REPORT, load, reported, smc
from rmm_host import PAGE, RAM

from cca_arch.rmi.v1_0 import RecEnterFlags, Rmi, RmiRecExit, RmiRipas
from cca_arch.rsi.v1_0 import Rsi

Running = Callable[..., Any]

NORMAL_MEMORY = (
    f"{load('x9', RAM + PAGE)}; msr ttbr0_el1, x9; {load('x9', 25 | 0x3500 | 1 << 23 | 5 << 32)}; msr tcr_el1, x9; "
    "mov x9, #0xff; msr mair_el1, x9; isb; mrs x9, sctlr_el1; orr x9, x9, #1; msr sctlr_el1, x9; isb;"
)
"""Turn stage 1 on, with a table at RAM + PAGE, so that unaligned accesses are no alignment faults. Uses X9."""


EXITS: dict[str, tuple[str, dict[str, Any]]] = {
    "data-protected-read": (at(MISSING + 0x128, "ldr x3, [x9]"), {"esr": DATA | 7, "hpfar": MISSING >> 8}),
    "data-protected-write": (at(MISSING + 0x128, "str x3, [x9]"), {"esr": DATA | 7, "hpfar": MISSING >> 8}),
    "data-protected-pair": (at(MISSING + 0x128, "stp x3, x4, [x9]"), {"esr": DATA | 7, "hpfar": MISSING >> 8}),
    "fetch-protected": (at(MISSING + 0x20, "br x9"), {"esr": FETCH | 7, "hpfar": MISSING >> 8}),
    "emulatable-read": (
        at(UNPROTECTED + 0x128, "ldr w3, [x9]"), {"esr": DATA | ISV | 2 << 22 | 6, "far": 0x128, "hpfar": HPFAR},
    ),
    "emulatable-read-64": (
        at(UNPROTECTED + 0x128, "ldr x3, [x9]"),
        {"esr": DATA | ISV | 3 << 22 | 1 << 15 | 6, "far": 0x128, "hpfar": HPFAR},
    ),
    "emulatable-write": (
        at(UNPROTECTED + 0x129, "strb w3, [x9]"),
        {"esr": DATA | ISV | 1 << 6 | 6, "far": 0x129, "hpfar": HPFAR, "gprs": (0x88,)},
    ),
    "unprotected-pair-write": (at(UNPROTECTED + 0x128, "stp x3, x4, [x9]"), {"esr": DATA | 6, "hpfar": HPFAR}),
    "unprotected-pair-read": (at(UNPROTECTED + 0x128, "ldp x3, x4, [x9]"), {"esr": DATA | 6, "hpfar": HPFAR}),
    "unprotected-writeback": (at(UNPROTECTED + 0x128, "ldr x3, [x9], #8"), {"esr": DATA | 6, "hpfar": HPFAR}),
    "wfi": (f"{SECRETS}; wfi", {"esr": 1 << 26}),
    "psci": (f"{SECRETS}; {smc(0xC400_0001, 5, 6, 7)}", {"exit_reason": 3, "gprs": (0xC400_0001,)}),
    "cpu-off": (f"{SECRETS}; {smc(0x8400_0002)}", {"exit_reason": 3, "gprs": (0x8400_0002,)}),
    "ripas": (
        f"{SECRETS}; {smc(Rsi.IPA_STATE_SET, MISSING, MISSING + PAGE, RmiRipas.EMPTY, 1)}",
        {"exit_reason": 4, "ripas_base": MISSING, "ripas_top": MISSING + PAGE, "ripas_value": 0},
    ),
    "walk-fault": (
        f"{SECRETS}; {smc(Rsi.HOST_CALL, MISSING + 0x300)}", {"esr": DATA | 7, "hpfar": MISSING >> 8},
    ),
    "sgi": (f"{SECRETS}; msr S3_0_C12_C11_5, x12", {"gprs": (0x5EC2_E70C,)}),
}  # fmt: skip


class TestSanitised:
    """What an exit does not name is zero, byte by byte, whatever was there and whatever the Realm's registers hold."""

    @pytest.mark.parametrize("name", sorted(EXITS))
    def test_record(self, host: Any, realm: Any, assemble: Any, name: str) -> None:
        """The whole of run.exit."""
        source, members = EXITS[name]
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, MISSING, MISSING + PAGE)
        realm.write(RAM, assemble(source))
        realm.rec()
        realm.activate()
        got = whole(host, realm, flags=RecEnterFlags.make(trap_wfi=1))
        if name == "sgi":  # all of the syndrome but Rt
            esr = RmiRecExit.unpack(got).esr
            assert (esr >> 26, esr >> 5 & 31) == (0x18, 0)
            members = {**members, "esr": esr}
        assert got == record(**members)

    def test_permission(self, running: Running, host: Any) -> None:
        """A write that S2AP refuses is emulatable, with a permission fault."""
        realm = running(at(UNPROTECTED, "str w3, [x9]"))
        realm.table(UNPROTECTED, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, host.page() | READ_ONLY)
        esr = DATA | ISV | 2 << 22 | 1 << 6 | 0x0F
        assert whole(host, realm) == record(esr=esr, hpfar=HPFAR, gprs=(0x5566_7788,))

    def test_irq(self, running: Running, host: Any) -> None:
        """An interrupt tells nothing."""
        realm = running(f"{SECRETS}; again: b again")
        host.pe.host_timer(host.machine.clock.now + 1000)
        got = whole(host, realm)
        host.pe.host_timer(None)
        assert got == record(exit_reason=1)

    def test_both_halves(self, host: Any, realm: Any, assemble: Any) -> None:
        """An access across the last Protected page: each page is judged alone."""
        last = UNPROTECTED - PAGE
        realm.table(UNPROTECTED - 0x20_0000, 3)
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, last, UNPROTECTED)
        realm.write(RAM, assemble(f"{NORMAL_MEMORY} {at(UNPROTECTED - 4, 'ldr x3, [x9]')}"))
        realm.write(RAM + PAGE, b"".join((gib << 30 | 0x701).to_bytes(8, "little") for gib in range(8)))
        realm.rec()
        realm.activate()
        assert whole(host, realm) == record(esr=DATA | 7, hpfar=last >> 8)
        host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), last)
        exit = realm.enter()
        assert (exit.exit_reason, exit.hpfar, exit.far) == (0, HPFAR, 0)
        assert exit.esr & (0x3F << 26 | ISV) == DATA | ISV

    def test_registers_of_a_new_rec(self, running: Running) -> None:
        """X0..X7 as given, all others zero, EL1h with DAIF masked, MMU and caches off, MPIDR with its RES1 bit."""
        given = tuple(0x1000 + number for number in range(8))
        store = "; ".join(f"str x{number}, [x30, #{8 + 8 * number}]" for number in range(30))
        call = f"{load('x0', Rsi.HOST_CALL)}; mov x1, x30; smc #0"
        system = "mrs x0, daif; mrs x1, currentel; mrs x2, sctlr_el1; mrs x3, mpidr_el1; mrs x4, spsel"
        realm = running(f"{load('x30', CALL)}; {store}; {call}; {system}; {REPORT}", gprs=given)
        assert tuple(realm.enter().gprs[:30]) == given + (0,) * 22
        daif, el, sctlr, mpidr, spsel = reported(realm.enter())[:5]
        assert (daif, el, sctlr & 0x1005, mpidr, spsel) == (0x3C0, 4, 0, 1 << 31, 1)
