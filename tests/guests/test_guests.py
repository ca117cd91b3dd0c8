"""Every committed payload runs in a Realm: its own checks hold, its output and exit status are as promised."""

import hashlib
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import realmlab
from cca_host.kvmtool import RunResult
from realmlab import Listing, Trace, find_payload


@dataclass(frozen=True, slots=True)
class Guest:
    """A run of a payload: what it is given, and what must come out."""

    payload: str
    console: tuple[str, ...]
    """Lines that must be in the output, whole."""
    status: int = 0
    args: tuple[str, ...] = ()
    vcpus: int = 1
    hash_algo: str = "sha256"
    ipa_width: int = 33
    max_insns: int | None = 50_000_000

    @property
    def name(self) -> str:
        """The test's id."""
        extra = (*self.args, "" if self.hash_algo == "sha256" else self.hash_algo, str(self.vcpus))
        return "-".join(filter(None, (self.payload, *extra)))


def _run(guest: Guest, trace: Trace | None = None) -> RunResult:
    with realmlab.Machine(trace=trace) as machine:
        return machine.run_realm(
            guest.payload,
            args=guest.args,
            vcpus=guest.vcpus,
            hash_algo=guest.hash_algo,
            ipa_width=guest.ipa_width,
            max_insns=guest.max_insns,
        )


_MASK = (1 << 64) - 1
_RANDOM_IMAGES = 40


def _compute(rounds: int) -> str:
    """What `compute` prints, by its definition."""
    block, digest, x = [0] * 512, 0, 0x9E3779B97F4A7C15
    for number in range(rounds):
        x ^= digest
        for _ in range(10_000):
            x ^= x << 13 & _MASK
            x ^= x >> 7
            x ^= x << 17 & _MASK
            x = (x * 0x2545F4914F6CDD1D + (x >> 32)) & _MASK
        block[number % 512] = x
        digest = int.from_bytes(hashlib.sha256(struct.pack("<512Q", *block)).digest()[:8], "little")
    return f"compute: {rounds} rounds, checksum {x ^ digest:016x}"


def _memory(rounds: int) -> str:
    """What `memory` prints: the last word of the copied half of each round, and the end of the chain of pointers."""
    last, links = (1 << 18) - 1, 65_536
    total, word = 0, 0
    for number in range(rounds):
        word += number + last
        total += word + (links - 1) * 40_503 % links
    return f"memory: {rounds} rounds, checksum {total:016x}"


_HELLO = ("RSI 1.0, PSCI 1.1", "memory 64 MiB at 0x80000000", "Hello from Realm EL1")
GUESTS = (
    Guest("hello", (*_HELLO, "IPA width 33 bits, measured with SHA-256", 'arguments "one two"'), args=("one", "two")),
    Guest("hello", (*_HELLO, "IPA width 40 bits, measured with SHA-512"), hash_algo="sha512", ipa_width=40),
    Guest(
        "el0",
        (
            "Hello from Realm EL0",
            "time passes",
            "application exited with 7",
            "killed: read, fault status f, in the kernel",
            "killed: write, fault status f, in the kernel",
            "killed: fetch, fault status f, in the kernel",
            "killed: write, fault status f, in the application",
            "killed: undefined instruction",
            "the kernel is whole",
        ),
    ),
    Guest("rsi", ("PASS REM = HASH(old REM, value)", "PASS its old content is gone")),
    Guest("rsi", ("PASS the RIM is zero past the hash size",), hash_algo="sha512"),
    Guest("faults", ("PASS HVC is undefined", "PASS a load from EMPTY: SEA")),
    Guest("attest", ("-----BEGIN CCA TOKEN-----", "-----END CCA TOKEN-----")),
    Guest("attest", ("-----END CCA TOKEN-----",), args=("challenge=00ff",), hash_algo="sha512"),
    Guest("compute", (_compute(3),), args=("3",)),
    Guest("memory", (_memory(2),), args=("2",)),
    Guest("uart", ("Hello through the UART",)),
    Guest("selfmod", ("selfmod: 1000 versions, 0 wrong",)),
    Guest("smcstorm", ("smcstorm: version, 200 calls, 0 wrong", "smcstorm: host, 200 calls, 0 wrong"), args=("200",)),
    Guest("smcstorm", ("smcstorm: unknown, 1000 calls, 0 wrong",), args=("unknown",)),
    Guest("smp", ("smp: 1 vCPUs counted to 1000",)),
    Guest("smp", ("smp: 2 vCPUs counted to 2000", "smp: vCPU 1 came back"), vcpus=2),
    Guest("smp", ("smp: 4 vCPUs counted to 4000", "smp: vCPU 1 came back"), vcpus=4),
    Guest("crosscode", ("crosscode: 100 versions, 0 wrong",), vcpus=2),
    Guest("crosscode", ("panic: crosscode needs 2 vCPUs",), status=3),
    Guest("stackoverflow", (), status=3),
    Guest("jump", ("jumping to 0x123456789000",), status=3),
    Guest("spin", ("spinning",), status=4, max_insns=1_000_000),
    Guest("idle", ("waiting for ever",), status=3),
    Guest("lost", (), status=3),
)


@pytest.fixture(scope="module", params=GUESTS, ids=lambda guest: guest.name)
def guest(request: pytest.FixtureRequest) -> Guest:
    """One of the runs."""
    value: Guest = request.param
    return value


@pytest.fixture(scope="module")
def first(guest: Guest) -> tuple[RunResult, Listing]:
    """Its first run, traced."""
    listing = Listing()
    return _run(guest, Trace(listing)), listing


class TestGuests:
    def test_output_and_status(self, guest: Guest, first: tuple[RunResult, Listing]) -> None:
        """A payload prints the lines and ends with the status that its head comment promises."""
        result, _ = first
        lines = result.console.decode().splitlines()
        assert not [line for line in lines if line.startswith("FAIL")]
        assert result.status == guest.status, result
        assert not set(guest.console) - set(lines), result.console.decode()

    def test_the_granules_come_back(self, first: tuple[RunResult, Listing]) -> None:
        """However the payload ends, every granule is the host's again, and scrubbed."""
        result, _ = first
        assert result.granules_left == 0
        assert result.granules_dirty == 0

    def test_two_runs_are_the_same(self, guest: Guest, first: tuple[RunResult, Listing]) -> None:
        """Two runs give identical traces."""
        listing = Listing()
        _run(guest, Trace(listing))
        assert listing == first[1]

    def test_the_trace_changes_nothing(self, guest: Guest, first: tuple[RunResult, Listing]) -> None:
        """Without a trace the guest retires the same number of instructions and prints the same."""
        result = _run(guest)
        assert result.instructions == first[0].instructions
        assert result.console == first[0].console


def _random_bytes(source: random.Random) -> bytes:
    return source.randbytes(8192)


def _random_damage(source: random.Random) -> bytes:
    """`rsi` with some of its code overwritten; the ELF headers are whole."""
    image = bytearray(find_payload("rsi").read_bytes())
    for _ in range(20):
        image[source.randrange(0x1000, 0x4000)] = source.randrange(256)
    return bytes(image)


class TestReports:
    """What is wrong with a guest that fails by itself is said in one line."""

    def test_stack_overflow(self) -> None:
        """A stack overflow is reported from a stack of its own."""
        result = _run(Guest("stackoverflow", ()))
        assert result.console.startswith(b"panic: stack overflow, FAR 8000")

    def test_jump_to_nowhere(self) -> None:
        """A call of an unmapped address reports the address."""
        result = _run(Guest("jump", ()))
        assert b"panic: instruction abort at vector 4, ESR 86000004 FAR 123456789000" in result.console
        assert result.console.endswith(b": translation fault, level 0\n")

    @pytest.mark.parametrize("payload", ["spin", "idle", "lost"])
    def test_a_run_that_does_not_end_by_itself(self, payload: str) -> None:
        """A guest that makes no progress is stopped, with a line that says why."""
        result = _run(Guest(payload, (), max_insns=1_000_000))
        assert result.message
        assert "\n" not in result.message

    def test_undefined_vectors(self, tmp_path: Path) -> None:
        """A guest whose exception vector is itself undefined ends like any other that makes no progress."""
        image = tmp_path / "undefined.bin"
        add_x0_64k, msr_vbar_x0, udf = 0x91404000, 0xD518C000, 0
        image.write_bytes(struct.pack("<3I", add_x0_64k, msr_vbar_x0, udf))
        with realmlab.Machine() as machine:
            result = machine.run_realm(image, max_insns=1_000_000)
        assert (result.status, result.reason) == (3, "stuck")

    @pytest.mark.parametrize("damage", [_random_bytes, _random_damage])
    def test_random_code(self, damage: Callable[[random.Random], bytes], tmp_path: Path) -> None:
        """Random bytes, and a payload with random damage, end in some way and give every granule back."""
        image = tmp_path / "random"
        with realmlab.Machine() as machine:
            for seed in range(_RANDOM_IMAGES):
                image.write_bytes(damage(random.Random(seed)))
                result = machine.run_realm(image, memory="16M", max_insns=400_000)
                assert result.message or result.reason in {"exit", "system_off", "system_reset"}, (seed, result)
                assert (result.granules_left, result.granules_dirty) == (0, 0), (seed, result)
            assert machine.run_realm("hello").status == 0

    def test_the_next_run_is_unaffected(self) -> None:
        """After a guest that failed, another one runs on the same machine as if nothing had happened."""
        with realmlab.Machine() as machine:
            for payload in ("lost", "stackoverflow", "selfmod"):
                machine.run_realm(payload, max_insns=1_000_000)
            assert machine.run_realm("hello").status == 0
