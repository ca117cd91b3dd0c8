"""The SMMU under nonsense, and stage 2 of the SMMU against stage 2 of a PE."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from smmu_driver import COMMANDS, STREAM_TABLE, TABLES, SmmuDriver

from cca_arch.types import Access, SecurityState
from cca_platform.board import Board
from cca_platform.devices.smmu import DmaAborted
from cca_platform.devices.smmu.layout import Event, Offset, Opcode
from cca_platform.machine.machine import Machine
from cca_platform.mmu.regime import EL10
from cca_platform.mmu.translate import REFUSED, translate
from cca_platform.mmu.walk import ACCESS_FLAG, ADDRESS_SIZE, EXTERNAL_ABORT_WALK, PERMISSION, TRANSLATION
from cca_platform.native import block as w

STREAM = 5
DATA = 0x9000_0000
EVENTS = {
    ADDRESS_SIZE: Event.F_ADDR_SIZE,
    TRANSLATION: Event.F_TRANSLATION,
    ACCESS_FLAG: Event.F_ACCESS,
    PERMISSION: Event.F_PERMISSION,
    EXTERNAL_ABORT_WALK: Event.F_WALK_EABT,
}
SETTINGS = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.integers(0, (1 << 64) - 1)


@pytest.fixture(scope="module")
def smmu() -> Iterator[SmmuDriver]:
    """The SMMU of a bare machine."""
    machine = Machine(Board.load("fvp"))
    yield SmmuDriver(machine)
    machine.close()


def restart(smmu: SmmuDriver) -> None:
    """From reset to an SMMU that translates."""
    smmu.machine.bus.reset()
    smmu.access(1)
    smmu.start()


class TestNonsense:
    """Whatever a driver writes, nothing but DmaAborted comes out, and every queue stays inside its bounds."""

    @SETTINGS
    @given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=32))
    def test_commands(self, smmu: SmmuDriver, commands: list[bytes]) -> None:
        """A random queue is consumed up to its first illegal command."""
        restart(smmu)
        smmu.memory.write(COMMANDS, b"".join(commands))
        smmu.set(Offset.CMDQ_PROD, len(commands))
        done = smmu.get(Offset.CMDQ_CONS) & 0xF_FFFF
        assert done == len(commands) or commands[done][0] not in {0x01, 0x02, 0x28, 0x30}

    @SETTINGS
    @given(st.binary(min_size=64, max_size=64), st.booleans(), words, st.booleans())
    def test_entries(self, smmu: SmmuDriver, entry: bytes, valid: bool, iova: int, write: bool) -> None:
        """A random STE aborts, bypasses or translates."""
        restart(smmu)
        data = bytearray(entry)
        data[0] |= valid
        smmu.memory.write(STREAM_TABLE + 64 * STREAM, data)
        smmu.command(Opcode.CFGI_STE_RANGE, 0, 31)
        self.reach(smmu, STREAM, iova, write)

    @SETTINGS
    @given(
        st.lists(st.tuples(st.integers(0, 0x4_0000), st.sampled_from((1, 2, 4, 8)), words), max_size=20),
        st.integers(0, (1 << 32) - 1),
        words,
        st.booleans(),
    )
    def test_registers(
        self, smmu: SmmuDriver, writes: list[tuple[int, int, int]], stream: int, iova: int, write: bool
    ) -> None:
        """Random register writes."""
        restart(smmu)
        for offset, size, value in writes:
            at = offset % 0x2_0000 if offset & 0x2_0000 else offset % 0xC0
            smmu.machine.bus.write(smmu.base + at, size, value & (1 << 8 * size) - 1)
        self.reach(smmu, stream, iova, write)

    def reach(self, smmu: SmmuDriver, stream: int, iova: int, write: bool) -> None:
        port = smmu.port(stream)
        try:
            if write:
                port.write(iova, b"data")
            else:
                port.read(iova, 4)
        except DmaAborted as abort:
            assert abort.stream == stream


class Peer:
    """Stage 2 of a PE at Non-secure EL1 with stage 1 off, over the same tables."""

    def __init__(self, machine: Machine) -> None:
        self.words = np.zeros(w.P_WORDS, np.int64)
        self.address = int(self.words.ctypes.data)
        self.words[w.P_MACHINE] = machine.memory.block_address
        self.words[w.P_SECURITY] = SecurityState.NON_SECURE
        self.words[w.P_EL] = 1
        self.words[w.P_REGIME] = EL10
        self.words[w.P_HCR] = 1

    def walk(self, ste: dict[str, int], ipa: int, access: Access) -> tuple[Event | None, int]:
        """The event that a fault would be, or None, and the page."""
        self.words[w.P_VTCR] = ste["s2t0sz"] | ste["s2sl0"] << 6 | ste["s2ps"] << 16
        self.words[w.P_VTTBR] = ste["s2ttb"] << 4
        if translate(self.address, ipa, access) != REFUSED:
            return None, int(self.words[w.P_OUT_PA])
        return EVENTS[int(self.words[w.P_FAULT_FSC]) & ~3], 0


class TestAgainstAPe:
    """Equal tables translate equally."""

    SIZES = ((16, 2), (20, 2), (24, 1), (28, 1), (33, 1), (34, 0), (39, 0), (31, 0))

    @SETTINGS
    @given(st.integers(0, (1 << 32) - 1), st.sampled_from(SIZES), st.sampled_from((0, 2, 5)), st.booleans())
    def test_random_tables(self, smmu: SmmuDriver, seed: int, size: tuple[int, int], ps: int, write: bool) -> None:
        """Tables of random descriptors that mostly point at one another, at random addresses."""
        random = np.random.default_rng(seed)
        restart(smmu)
        pages = 16 + 12
        self.fill(smmu, random, pages)
        ste = {"s2t0sz": size[0], "s2sl0": size[1], "s2ps": ps, "s2ttb": TABLES >> 4}
        smmu.ste(STREAM, **ste)
        peer, access = Peer(smmu.machine), Access.WRITE if write else Access.READ
        model: Any = smmu.model
        for ipa in random.integers(0, 1 << (64 - size[0]), 24):
            expected, page = peer.walk(ste, int(ipa), access)
            smmu.command(Opcode.TLBI_NSNH_ALL)
            try:
                assert (expected, page) == (None, model.translate(STREAM, int(ipa), access))
            except DmaAborted:
                assert [record.event for record in smmu.records()] == [expected]

    def fill(self, smmu: SmmuDriver, random: Any, pages: int) -> None:
        """Descriptors: half of them tables of the pool, the others pages, blocks and noise."""
        count = pages * 512
        table = TABLES + 0x1000 * random.integers(0, pages, count) | 3
        low = random.integers(0, 1 << 12, count) | random.integers(0, 2, count) << 10 | 1
        leaf = random.integers(0x8_0000, 0x10_0000, count) << 12 | low
        noise = random.integers(0, 1 << 62, count)
        kind = random.integers(0, 10, count)
        chosen = np.where(kind < 6, table, np.where(kind < 9, leaf, noise)).astype(np.uint64)
        smmu.memory.write(TABLES, chosen.tobytes())
