"""Keys of pointer authentication belong to one REC: nobody else sees or changes them (CPU model ``max``)."""

from collections.abc import Iterator
from random import Random

import pytest
from realm_code import CALL, REPORT, load
from rmm_host import PAGE, RAM, Host, Realm, machine_host, to_code

from cca_arch.fields import Record
from cca_arch.rmi.v1_0 import RecExitReason, Rmi
from cca_arch.sysregs import REGISTERS, encodings
from cca_arch.types import SecurityState
from cca_platform.isa import frame
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode

NAMES = [f"s3_0_c2_c{REGISTERS[name].crm}_{REGISTERS[name].op2}" for name in frame.KEYS]
_READ = "; ".join(f"mrs x{number}, {name}" for number, name in enumerate(NAMES))
_WRITE = "; ".join(f"ldr x1, [x2, #{8 + 8 * number}]; msr {name}, x1" for number, name in enumerate(NAMES))
EXCHANGE = f"again: {_READ}; {REPORT}; {load('x2', CALL)}; {_WRITE}; {REPORT}; b again"
"""In turn: report the keys and exit; take those that the Host gives, and exit."""


@pytest.fixture(scope="module")
def booted() -> Iterator[Host]:
    """One machine with the CPU model max for all tests."""
    host = machine_host(cpu="max")
    yield host
    host.machine.close()


@pytest.fixture
def host(booted: Host) -> Iterator[Host]:
    """A Host on a machine that has just booted."""
    fresh = booted.machine.snapshot()
    yield Host(booted.machine, booted.rmm)
    booted.machine.restore(fresh)


def build(host: Host, source: str = EXCHANGE, recs: int = 1) -> Realm:
    """An ACTIVE Realm whose RECs run ``source``, one page further for each."""
    realm = Realm(host)
    realm.write(RAM, to_code(source))
    realm.write(RAM + PAGE, b"")
    for _ in range(recs):
        realm.rec()
    realm.activate()
    return realm


def keys(exit: Record) -> list[int]:
    """The keys that a Realm has reported."""
    assert exit.exit_reason == RecExitReason.HOST_CALL
    return list(exit.gprs[:10])


def on_pe(host: Host) -> list[int]:
    """The keys that the PE holds while the Host has it."""
    return [host.pe.read_sysreg(name) for name in frame.KEYS]


class TestIsolation:
    """Whatever the order of entries."""

    def test_new(self, host: Host) -> None:
        """A new REC has zero keys, whatever another Realm or the Host has left on the PE."""
        first = build(host)
        keys(first.enter())
        first.enter(gprs=tuple(range(1, 11)))
        for name in frame.KEYS:
            host.pe.write_sysreg(name, 0x55AA)
        assert keys(build(host).enter()) == [0] * 10

    @pytest.mark.parametrize("seed", range(3))
    def test_random(self, host: Host, seed: int) -> None:
        """Each REC of three Realms always finds the keys that it has set; between entries the PE holds none."""
        random = Random(seed)
        realms = [build(host, recs=2) for _ in range(3)]
        given: dict[tuple[int, int], list[list[int]]] = {}
        for _ in range(300):
            which = random.randrange(3), random.randrange(2)
            before = given.setdefault(which, [[0] * 10])
            new = [random.getrandbits(64) for _ in frame.KEYS]
            exit = realms[which[0]].enter(which[1], gprs=tuple(new))
            if len(before) % 2:
                assert keys(exit) == before[-1]
                before.append(before[-1])
            else:
                before.append(new)
            assert on_pe(host) == [0] * 10
        assert min(map(len, given.values())) > 10

    def test_kept_over_interrupts(self, host: Host) -> None:
        """A REC that is interrupted and entered again goes on with its keys, and its signed pointers stay valid."""
        sign, authenticate = ".word 0xdac10041", ".word 0xdac11041"  # PACIA, AUTIA X1, X2
        body = f"mov x1, x3; {sign}; mov x4, x1; {authenticate}; cmp x1, x3; b.ne wrong; cmp x4, x3; b.eq wrong"
        source = (
            f"{load('x7', 0x1234_5678_9ABC_DEF0)}; msr {NAMES[0]}, x7; msr {NAMES[1]}, x7; mrs x8, sctlr_el1; "
            f"{load('x9', 1 << 31)}; orr x8, x8, x9; msr sctlr_el1, x8; isb; {load('x3', 0x1234_5000)}; mov x2, #77; "
            f"mov x10, #4000; loop: {body}; subs x10, x10, #1; b.ne loop; mov x11, #1; {REPORT}; "
            f"wrong: mov x11, #2; {REPORT}"
        )
        realm, other = build(host, source), build(host)
        count, exit = 0, None
        while exit is None or exit.exit_reason == RecExitReason.IRQ:
            host.pe.host_timer(host.machine.clock.now + 300)
            exit = realm.enter()
            host.pe.host_timer(None)
            other.enter(gprs=(count + 1,) * 10)
            count += 1
        assert exit.gprs[11] == 1
        assert count > 5

    def test_pstate(self, host: Host) -> None:
        """PSTATE.DIT and SSBS are a REC's own, too: 0 in a new one, and kept while others run."""
        read = "mrs x0, s3_3_c4_c2_5; mrs x1, s3_3_c4_c2_6"
        source = f"{read}; {REPORT}; {load('x5', 1 << 24)}; msr s3_3_c4_c2_5, x5; again: {read}; {REPORT}; b again"
        realm, other = build(host, source), build(host, source)
        for one in (realm, other):
            assert tuple(one.enter().gprs[:2]) == (0, 0)
        assert tuple(realm.enter().gprs[:2]) == (1 << 24, 0)
        assert tuple(other.enter().gprs[:2]) == (1 << 24, 0)
        assert tuple(build(host, source).enter().gprs[:2]) == (0, 0)
        assert tuple(realm.enter().gprs[:2]) == (1 << 24, 0)

    def test_scrubbed(self, host: Host) -> None:
        """After RMI_REC_DESTROY and RMI_GRANULE_UNDELEGATE, no key is in memory that the Host can read."""
        realm = build(host)
        keys(realm.enter())
        secret = 0xFEED_FACE_CAFE_BEEF
        realm.enter(gprs=(secret,) * 10)
        assert secret.to_bytes(8, "little") in host.peek.read(realm.aux[0][0], PAGE)
        host.ok(Rmi.REC_DESTROY, realm.recs[0])
        for granule in (realm.recs[0], *realm.aux[0]):
            host.ok(Rmi.GRANULE_UNDELEGATE, granule)
            assert secret.to_bytes(8, "little") not in host.memory.read(granule, PAGE)

    def test_saved(self, host: Host) -> None:
        """A checkpoint has the keys of RECs, and another machine goes on with them."""
        realm = build(host)
        realm.enter()
        new = tuple(range(0x100, 0x10A))
        realm.enter(gprs=new)
        written = encode(host.machine.checkpoint())
        other = machine_host(cpu="max")
        other.machine.adopt(decode(written, Checkpoint))
        copy = Realm.__new__(Realm)
        copy.__dict__.update(realm.__dict__, host=other)
        assert keys(copy.enter()) == list(new)
        copy.enter(gprs=(1,) * 10)
        assert keys(realm.enter()) == list(new)
        assert keys(copy.enter()) == [1] * 10
        other.machine.close()


class TestIdentification:
    """What a Realm sees of the CPU model."""

    @pytest.mark.parametrize(("cpu", "seen"), [("a72", 0), ("max", 1 << 24 | 1 << 4)])
    def test_features(self, cpu: str, seen: int) -> None:
        """ID_AA64ISAR1_EL1 has GPA and APA as the PE has them; FEAT_SVE, which no PE has, stays absent."""
        host = machine_host(cpu=cpu)
        realm = build(host, f"mrs x0, id_aa64isar1_el1; mrs x1, id_aa64pfr0_el1; mrs x2, id_aa64mmfr1_el1; {REPORT}")
        exit = realm.enter()
        pe = host.pe
        assert exit.gprs[0] & (0xFF << 24 | 0xFF << 4) == seen
        assert exit.gprs[0] == pe.id_register(*encodings.ID_AA64ISAR1_EL1)
        assert exit.gprs[1] == pe.id_register(*encodings.ID_AA64PFR0_EL1)
        assert exit.gprs[2] == pe.id_register(*encodings.ID_AA64MMFR1_EL1)
        host.machine.close()

    def test_without(self) -> None:
        """On ``a72`` a key register is UNDEFINED in a Realm, although the RMM sets HCR_EL2.APK."""
        host = machine_host()
        vectors = f"@0xA00: mrs x0, esr_el1; {REPORT}"
        realm = build(host, f"{load('x1', RAM + 0x800)}; msr vbar_el1, x1; isb; mrs x0, {NAMES[0]} {vectors}")
        assert realm.enter().gprs[0] == 1 << 25
        host.machine.close()


def test_host_has_none(host: Host) -> None:
    """A Host in Python finds zero keys on the PE after an exit: they are the Realm's, as SCR_EL3 and EL3 intend."""
    realm = build(host)
    keys(realm.enter())
    realm.enter(gprs=tuple(range(1, 11)))
    assert on_pe(host) == [0] * 10
    assert host.machine.scr[SecurityState.REALM] >> 16 & 3 == 3
