"""The Secure payload that comes with Realmlab, under the payload of Non-secure EL2 that uses it, and under others."""

import random
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest
from calls import call
from elftools.elf.elffile import ELFFile
from ns_code import OFF, RESET, assemble, constant
from realm_code import load, reported, with_vectors
from rmm_host import RAM, Realm, machine_host, to_code

from cca_arch.ffa import Ffa
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.types import Pas, SecurityState
from cca_firmware.boot import Firmware, boot
from cca_firmware.package.nsimage import NsImage
from cca_firmware.secure.world import SecureState
from cca_platform.board import Board
from cca_platform.devices.pl011 import Pl011
from cca_platform.errors import InstructionLimit
from cca_platform.machine.machine import Machine
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from cca_rmm.rmm import Rmm
from realmlab import NsMachine, find_payload

SUFFIX = {"fvp": "", "virt": "_virt"}
CONSOLE = {"fvp": "uart2", "virt": "secure-uart"}
SECRET = b"Secure memory alone may hold it\0"
TEXT = b"what Non-secure software wants to have signed"
SECURE_CONSOLE = """secure: ready, 28 MiB of memory
secure: PE 1 on
secure: PE 1 off
secure: PE 1 on
secure: PE 1 off
secure: off after 31 fast calls
"""
ISPENDR0 = 0x1_0200  # of a redistributor
REDISTRIBUTOR = 0x2_0000
SECURE_SGI = 9
SECURE_ADD = 0xB200_2000


def start(payload: str, board: str = "fvp", trace: Trace | None = None) -> tuple[Machine, Firmware]:
    """A machine with the payload as BL33 and `secure` as BL32."""
    machine = Machine(Board.load(board), trace=trace)
    ns, secure = (find_payload(name + SUFFIX[board]).read_bytes() for name in (payload, "secure"))
    return machine, boot(machine, rmm=Rmm(machine), ns_image=ns, secure_image=secure)


def console(machine: Machine, name: str = "uart0") -> str:
    """What a UART has sent."""
    uart = machine.bus.devices[name]
    assert isinstance(uart, Pl011)
    return bytes(uart.output).decode()


def run(machine: Machine, max_insns: int = 10_000_000) -> tuple[str, int]:
    """Run to the end, or the limit: what UART0 sent, and the clock."""
    with suppress(InstructionLimit):
        machine.run(max_insns=max_insns)
    return console(machine), machine.clock.now


def variable(payload: str, name: str) -> int:
    """The address of a variable of a payload."""
    with find_payload(payload).open("rb") as stream:
        (symbol,) = ELFFile(stream).get_section_by_name(".symtab").get_symbol_by_name(name)
        return int(symbol["st_value"])


class TestSecureCall:
    @pytest.mark.parametrize("board", SUFFIX)
    def test_every_check_holds(self, board: str) -> None:
        """Fast and yielding calls, interrupts, messages and PEs: no check of `secure_call` fails, on any board."""
        machine, _ = start("secure_call", board)
        output, _ = run(machine)
        assert [line for line in output.splitlines() if not line.startswith("PASS ")] == [
            "secure_call: 7 suites, 72 passed, 0 failed"
        ]
        assert console(machine, CONSOLE[board]) == SECURE_CONSOLE
        machine.close()

    def test_secret(self) -> None:
        """The secret leaves Secure memory inside a hash only, and that is the hash that it must be."""
        machine, _ = start("secure_call")
        run(machine)
        memory = machine.memory
        digest = sha256(SECRET + TEXT).digest()
        assert memory.backdoor.read(variable("secure_call", "macs"), 32) == digest
        places = [(machine.board.ns_entry, 1 << 24)]
        places += [(region.base, region.size) for region in machine.board.regions if region.pas != Pas.SECURE]
        assert not [base for base, size in places if SECRET[:-1] in memory.backdoor.read(base, size)]
        assert SECRET in memory.backdoor.read(machine.board.region("secure").base, 1 << 20)
        machine.close()

    def test_two_runs_are_the_same(self) -> None:
        """Two runs give identical traces; without a trace the same happens at the same time."""
        runs = []
        for listing in (Listing(), Listing(), None):
            machine, _ = start("secure_call", trace=None if listing is None else Trace(listing))
            runs.append((run(machine), listing))
            machine.close()
        assert runs[0] == runs[1]
        assert runs[2][0] == runs[0][0]

    def test_snapshot(self) -> None:
        """From a snapshot in the middle of a yielding call it ends the same each time."""
        machine, firmware = start("secure_call")
        secure = firmware.secure
        assert secure is not None
        while secure.state[0] is not SecureState.YIELDING:
            run(machine, 10_000)
        snapshot = machine.snapshot()
        ends = []
        for _ in range(2):
            ends.append(run(machine))
            machine.restore(snapshot)
        assert secure.state[0] is SecureState.YIELDING
        machine.close()
        assert ends[0] == ends[1]
        assert ends[0][0].endswith(" 0 failed\n")

    def test_trace(self) -> None:
        """Each switch between the worlds is an event, and each call with its answer."""
        listing = Listing()
        machine, _ = start("secure_call", trace=Trace(listing))
        run(machine)
        machine.close()
        switches = Counter(
            (record["source"], record["target"]) for record in listing if record["event"] == "world.switch"
        )
        assert switches["NON_SECURE", "SECURE"] == switches["SECURE", "NON_SECURE"] > 50
        assert switches["ROOT", "SECURE"] == switches["SECURE", "ROOT"] == 3
        names = {record["name"] for record in listing if record["event"] == "smc.return" and record["world"] == "ns"}
        assert {"FFA_MSG_SEND_DIRECT_RESP", "0xb2002000", "FFA_VERSION"} <= names


class TestWithRealms:
    def test_a_host_beside_it(self) -> None:
        """`rmi` runs its Realms on two PEs as if there were no Secure payload."""
        machine, _ = start("rmi")
        output, _ = run(machine)
        machine.close()
        assert output.endswith(" 523 passed, 0 failed\n")

    def test_secure_interrupts_at_any_time(self) -> None:
        """Secure interrupts in the middle of the Host and of the Realm reach the payload, and change nothing else."""
        listing = Listing()
        machine, firmware = start("rmi", trace=Trace(listing))
        secure, sent = firmware.secure, 0
        assert secure is not None
        frames = machine.gic.secure_redistributors
        while machine.stopped is None:
            # PEs take turns of 100,000 instructions: a shorter run would give the second one none
            run(machine, 103_000 if machine.pes[1].on else 2_000)
            for pe in machine.pes[:2]:
                if pe.on and secure.state[pe.index] is SecureState.IDLE:
                    frames.write(pe.index * REDISTRIBUTOR + ISPENDR0, 4, 1 << SECURE_SGI)
                    sent += 1
        output = console(machine)
        machine.close()
        assert output.endswith(" 523 passed, 0 failed\n")
        handled: Counter[Any] = Counter(
            record["target"] for record in listing if record.get("reason") == "HANDLED_S_EL1_INTR"
        )
        assert handled["REALM"] > 5
        assert sent - 2 <= handled["REALM"] + handled["NON_SECURE"] <= sent

    @pytest.mark.parametrize(
        ("access", "ec", "fsc"), [("ldr x3, [x9]", 0x25, 0x28), ("str x3, [x9]", 0x25, 0x28), ("br x9", 0x21, 0x10)]
    )
    def test_a_realm(self, access: str, ec: int, fsc: int) -> None:
        """A Realm whose Host maps Secure memory for it gets a granule protection fault; the payload serves on.

        What is not protected can never be executed: the RMM answers that with an external abort.
        """
        host = machine_host(secure_image=find_payload("secure").read_bytes())
        realm = Realm(host)
        realm.write(RAM, to_code(with_vectors(f"{load('x9', realm.unprotected)}; {access}")))
        realm.write(RAM + 0x1000, b"")
        realm.rec()
        realm.activate()
        realm.table(realm.unprotected, 3)
        secure = host.machine.board.region("secure").base
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, realm.unprotected, 3, secure | 0b110 << 2 | 0b11 << 6)
        before = host.machine.memory.backdoor.read(secure, 0x1000)
        assert call(host.pe, SECURE_ADD, 1, 2)[:2] == [0, 3]
        esr, far, *_ = reported(realm.enter())
        assert (esr >> 26, esr & 0x3F, far) == (ec, fsc, realm.unprotected)
        assert host.machine.memory.backdoor.read(secure, 0x1000) == before
        assert call(host.pe, SECURE_ADD, 3, 4)[:2] == [0, 7]
        host.machine.close()

    @pytest.mark.parametrize("seed", range(3))
    def test_a_hostile_host(self, seed: int) -> None:
        """Random calls with random arguments, on three PEs: each comes back, and the secret does not."""
        noise = random.Random(seed)
        host = machine_host(secure_image=find_payload("secure").read_bytes())
        machine, realm_granule = host.machine, host.granules()
        secure = machine.board.region("secure")
        places = (0, 0x9000_0000, realm_granule, realm_granule - 8, secure.base, secure.top - 16, 0xBFFF_FFF0)
        numbers = (*range(8), 4096, 4097, 0x8001, 0x8001_0000, 1 << 63)
        functions = (SECURE_ADD, *range(0xF200_2010, 0xF200_2013), 0xB200_2013, 0x7200_2100, 0x3200_3000, 0xB200_3001)
        for _ in range(400):
            pe = noise.choice(machine.pes[:3])
            fid = noise.choice((*functions, *Ffa, noise.getrandbits(32) | 0x3200_0000))
            arguments = [noise.choice((*places, *numbers, noise.getrandbits(64))) for _ in range(7)]
            if fid == 0x7200_2100:
                arguments[0] = noise.randrange(1000)  # rounds of a computation that nothing would preempt
            if fid in (Ffa.MSG_SEND_DIRECT_REQ, Ffa.MSG_SEND_DIRECT_REQ_64):
                arguments[1:3] = 0, noise.randrange(1000)
            call(pe, fid, *arguments)
            assert (pe.security, pe.el) == (SecurityState.NON_SECURE, 2)
            assert SECRET[:8] not in bytes(pe.x)
        assert machine.stopped is None
        assert host.status(Rmi.GRANULE_UNDELEGATE, realm_granule)[0] == 0
        assert call(host.pe, SECURE_ADD, 3, 4)[:2] == [0, 7]
        assert SECRET[:-1] not in machine.memory.port(SecurityState.NON_SECURE).read(0x9000_0000, 1 << 20)
        machine.close()


class TestReset:
    def test_starts_anew(self) -> None:
        """A system reset starts the payload anew: its counts are gone, and it is loaded again before NS software."""
        word = 0x9000_0000
        source = (
            f"{constant('x0', SECURE_ADD)} smc #0; {constant('x9', word)} ldr x10, [x9]; add x10, x10, #1;"
            f"str x10, [x9]; cmp x10, #3; b.eq end; {RESET} end: {OFF}"
        )
        with NsMachine(NsImage(assemble(source)), secure="secure", nonvolatile=[(word, 0x1000)]) as machine:
            result = machine.run(max_insns=10_000_000)
            assert (result.status, len(result.resets)) == (0, 2)
            text = machine.uarts["uart2"].output
        assert bytes(text).decode() == "secure: ready, 28 MiB of memory\nsecure: off after 1 fast calls\n" * 3
