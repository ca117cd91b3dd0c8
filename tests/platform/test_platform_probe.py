"""The view of a physical attacker: DRAM is encrypted for each physical address space and each boot."""

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from cca_arch.types import Gpi, Pas
from cca_platform.board import Board
from cca_platform.errors import BusError
from cca_platform.machine.machine import Machine
from cca_platform.memory.probe import key, space

SECRET = b"nobody outside may read this    "
PAGE = 0x9000_0000
GRANULE = 0x1000


def decrypted(shown: bytes, pa: int, boot: int, pas: Pas, seed: bytes = b"") -> bytes:
    """A granule that was seen, with the key in hand."""
    tweak = (pa // GRANULE).to_bytes(16, "little")
    decryptor = Cipher(algorithms.AES(key(seed, boot, pas)), modes.XTS(tweak)).decryptor()
    return decryptor.update(shown) + decryptor.finalize()


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A bare machine."""
    made = Machine(Board.load("fvp"))
    yield made
    made.close()


class TestEncryption:
    """What is on the bus."""

    def test_not_the_plaintext(self, machine: Machine) -> None:
        """Neither data nor zeroes show."""
        machine.memory.backdoor.write(PAGE, SECRET)
        shown = machine.memory.probe(PAGE, GRANULE)
        assert SECRET not in shown
        assert bytes(16) not in shown

    def test_xts(self, machine: Machine) -> None:
        """The granule is one data unit, its number the tweak."""
        machine.memory.backdoor.write(PAGE, SECRET)
        shown = machine.memory.probe(PAGE, GRANULE)
        assert decrypted(shown, PAGE, 0, Pas.NON_SECURE) == SECRET + bytes(GRANULE - len(SECRET))

    def test_equal_data_differ(self, machine: Machine) -> None:
        """Equal blocks look different at every address."""
        machine.memory.backdoor.write(PAGE, SECRET[:16] * 512)
        shown = machine.memory.probe(PAGE, 2 * GRANULE)
        assert len({shown[at : at + 16] for at in range(0, 2 * GRANULE, 16)}) == 512

    def test_equal_runs_look_equal(self, machine: Machine) -> None:
        """The keys come from a seed; another seed gives other keys."""
        other = Machine(Board.load("fvp"))
        assert other.memory.probe(PAGE, 64) == machine.memory.probe(PAGE, 64)
        other.memory.key_seed = b"another machine"
        assert other.memory.probe(PAGE, 64) != machine.memory.probe(PAGE, 64)
        other.close()

    def test_every_boot_has_new_keys(self, machine: Machine) -> None:
        """After a reset even zeroes look different; a snapshot brings the keys back."""
        before, snapshot = machine.memory.probe(PAGE, 64), machine.snapshot()
        machine.reset("test")
        assert machine.memory.probe(PAGE, 64) != before
        machine.restore(snapshot)
        assert machine.memory.probe(PAGE, 64) == before

    @settings(max_examples=50)
    @given(st.integers(0, 0x3000), st.integers(0, 0x2000))
    def test_any_range(self, offset: int, size: int) -> None:
        """A part of a range is that part of what the whole shows."""
        machine = Machine(Board.load("fvp"))
        assert machine.memory.probe(PAGE, 0x5000)[offset:][:size] == machine.memory.probe(PAGE + offset, size)
        machine.close()

    @pytest.mark.parametrize("pa", [0x1C09_0000, 0x2_0000_0000, 0x8000_0000 - GRANULE])
    def test_only_dram(self, machine: Machine, pa: int) -> None:
        """There is no DRAM bus at devices."""
        with pytest.raises(BusError):
            machine.memory.probe(pa, 4)


class TestSpaces:
    """The key is that of the granule's PAS."""

    @pytest.mark.parametrize(
        ("gpi", "pas"),
        [
            (Gpi.SECURE, Pas.SECURE),
            (Gpi.NON_SECURE, Pas.NON_SECURE),
            (Gpi.ROOT, Pas.ROOT),
            (Gpi.REALM, Pas.REALM),
            (Gpi.ANY, Pas.NON_SECURE),
            (Gpi.NO_ACCESS, Pas.ROOT),
        ],
    )
    def test_keys(self, bench: Any, gpi: Gpi, pas: Pas) -> None:
        """Each PAS has a key of its own."""
        memory = bench.machine.memory
        bench.protect({PAGE: gpi})
        memory.backdoor.write(PAGE, SECRET)
        assert space(memory, PAGE) == pas
        assert decrypted(memory.probe(PAGE, GRANULE), PAGE, 0, pas).startswith(SECRET)

    def test_the_pas_matters(self, bench: Any) -> None:
        """The same contents of the same granule look different in every PAS."""
        seen = set()
        for gpi in (Gpi.SECURE, Gpi.NON_SECURE, Gpi.ROOT, Gpi.REALM):
            bench.protect({PAGE: gpi})
            seen.add(bench.machine.memory.probe(PAGE, 64))
        assert len(seen) == 4

    def test_beyond_the_protected_space(self, bench: Any) -> None:
        """What the tables do not cover is Non-secure; what they cannot tell is nobody's but Root's."""
        bench.protect({})
        assert space(bench.machine.memory, 1 << 40) == Pas.NON_SECURE
        bench.machine.memory.gptbr = 0x2_0000_0000 >> 12
        assert space(bench.machine.memory, PAGE) == Pas.ROOT
