"""A system reset under a running Realm: the next life begins as the first, and finds nothing of it."""

from collections.abc import Iterator

import numpy as np
import pytest
from rmm_host import PAGE, RAM, Host, Nobody, Realm, machine_host, to_code

from cca_arch.rmi.v1_0 import RecExitReason, Rmi, RmiStatus
from cca_arch.types import SecurityState
from cca_firmware.boot import boot
from cca_host.kvm.irqchip import Irqchip
from cca_platform.board import Bank
from cca_rmm.rmm import Rmm

_SECRET = 0x5EC2_E7B1_7E5A_9D03
_CODE = """
    movz x1, #0x9D02; movk x1, #0x7E5A, lsl #16; movk x1, #0xE7B1, lsl #32; movk x1, #0x5EC2, lsl #48; add x1, x1, #1;
    adr x2, .; add x2, x2, #0x1000; and x2, x2, #0xfffffffffffff000; str x1, [x2];
    mov x19, x1; fmov d3, x1; msr tpidr_el1, x1;
    movz x0, #0xC400, lsl #16; movk x0, #0x199; adr x1, . ; add x1, x1, #0x2000; and x1, x1, #0xfffffffffffff000; smc #0
"""
_POOL = 0x9000_0000  # where the Host of these tests takes pages and granules from
_FIRMWARE = 0xFC00_0000


@pytest.fixture
def host() -> Iterator[Host]:
    """A Host on a machine of its own, which keeps the whole pool over a reset."""
    made = machine_host()
    made.machine.nonvolatile = (Bank(_POOL, 0x100_0000),)
    yield made
    made.machine.close()


def _build(host: Host) -> Realm:
    realm = Realm(host)
    realm.write(RAM, to_code(_CODE))
    realm.write(RAM + PAGE, b"")
    realm.write(RAM + 2 * PAGE, b"")
    realm.rec()
    realm.activate()
    return realm


def _run(host: Host) -> Realm:
    """A Realm that has its secret in memory and in registers."""
    realm = _build(host)
    assert realm.enter().exit_reason == RecExitReason.HOST_CALL
    return realm


def _boot(host: Host) -> Host:
    rmm = Rmm(host.machine)
    boot(host.machine, rmm=rmm, ns_program=Nobody())
    Irqchip(host.machine).start()
    return Host(host.machine, rmm)


def _places(host: Host, value: int) -> int:
    """How many words of DRAM hold ``value``."""
    memory = host.machine.memory
    pages = np.flatnonzero(memory.dirty).tolist()
    return sum(memory.dram[page * PAGE : (page + 1) * PAGE].count(value.to_bytes(8, "little")) for page in pages)


class TestReset:
    def test_secret(self, host: Host) -> None:
        """Nothing of a Realm is left: not its memory, not its RECs, not what the RMM or EL3 had of it."""
        _run(host)
        assert _places(host, _SECRET) >= 3
        mark = host.page(b"kept")
        host.machine.reset("test")
        assert _places(host, _SECRET) == 0
        assert host.peek.read(mark, 4) == b"kept"
        assert not any(host.machine.pes[0].x)

    def test_granules(self, host: Host) -> None:
        """Every granule that was not Non-secure is zero, in nonvolatile memory too; so is the firmware's memory."""
        realm = _run(host)
        spare = host.granules()
        host.machine.reset("test")
        for granule in (realm.rd, realm.rtt_base, *realm.recs, *realm.aux[0], *realm.data.values(), spare):
            assert host.peek.read(granule, PAGE) == bytes(PAGE)
        for pa in range(_FIRMWARE, 0x1_0000_0000, 0x10_0000):
            assert host.peek.read(pa, 0x10_0000) == bytes(0x10_0000)

    def test_second_life(self, host: Host) -> None:
        """Another boot finds every granule undelegated, and the same Realm can be built again, with the same RIM."""
        realm = _run(host)
        rim, rd = realm.rim, realm.rd
        host.machine.reset("test")
        again = _boot(host)
        assert again.status(Rmi.GRANULE_UNDELEGATE, rd) == (RmiStatus.ERROR_INPUT, 0)
        assert again.status(Rmi.REALM_ACTIVATE, rd) == (RmiStatus.ERROR_INPUT, 0)
        second = _run(again)
        assert second.rim == rim
        assert again.machine.memory.gpccr >> 16 & 1

    def test_same_again(self, host: Host) -> None:
        """A Realm runs in its second life as in its first: the same exits after the same instructions."""
        pe = host.machine.pes[0]
        _run(host)
        first = pe.retired
        host.machine.reset("test")
        _run(_boot(host))
        assert pe.retired == first

    def test_snapshot(self, host: Host) -> None:
        """A snapshot of the first life is whole again: the Realm is there, and goes on."""
        realm = _run(host)
        saved = host.machine.snapshot()
        host.machine.reset("test")
        _run(_boot(host))
        host.machine.restore(saved)
        assert host.machine.program(SecurityState.REALM, 2) is host.rmm
        assert host.peek.read64(realm.data[RAM + PAGE]) == _SECRET
        Realm(host).activate()
        realm.destroy()
