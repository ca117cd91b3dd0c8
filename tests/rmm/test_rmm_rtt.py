"""Realm translation tables in memory: walks, folds, and the rule for ``top``."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtt_entries import entries

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import RmiRipas
from cca_arch.types import SecurityState
from cca_platform.board import Board
from cca_platform.memory.memory import Memory
from cca_platform.memory.ports import Port
from cca_rmm.objects import rtt
from cca_rmm.objects.realm import Realm

BASE = 0x9000_0000
TABLE3 = 0x9100_0000
PAGE = 0x9200_0000
LEVELS = (1, 2, 3)
RIPAS = tuple(RmiRipas)


@pytest.fixture(scope="module")
def port() -> Port:
    """The RMM's port into a board whose granule protection check is off."""
    return Memory(Board.load("fvp")).port(SecurityState.REALM)


def a_realm(s2sz: int = 33, level: int = 2, tables: int = 8) -> Realm:
    """A Realm whose starting-level tables lie at BASE."""
    values = dict.fromkeys(Realm._fields, 0)
    return Realm(**{**values, "s2sz": s2sz, "rtt_base": BASE, "rtt_level_start": level, "rtt_num_start": tables})


class TestWalk:
    """A walk stops at the target or at the first entry that is no table."""

    def test_concatenated_start(self, port: Port) -> None:
        """The index continues over the starting-level tables."""
        port.write64(BASE + 4 * 0x1000 + 8 * 3, rtte.unassigned(RmiRipas.RAM))
        w = rtt.walk(port, a_realm(), (4 << 30) + 3 * rtte.level_size(2), 3)
        assert (w.level, w.table, w.slot, w.entry) == (2, BASE + 0x4000, 3, rtte.unassigned(RmiRipas.RAM))

    def test_descends(self, port: Port) -> None:
        """Through a table to a page, and no further than asked."""
        ipa = 0x4000_5000
        port.write64(BASE + 0x1000, rtte.table(TABLE3))
        port.write64(TABLE3 + 8 * 5, rtte.assigned(RmiRipas.RAM, PAGE, 3))
        assert rtte.address(rtt.walk(port, a_realm(), ipa, 3).entry) == PAGE
        assert rtt.walk(port, a_realm(), ipa, 2).entry == rtte.table(TABLE3)

    @pytest.mark.parametrize(
        ("s2sz", "level", "tables"),
        [(32, 1, 1), (32, 2, 4), (34, 2, 16), (40, 0, 1), (40, 1, 2), (42, 1, 8), (48, 0, 1)],
    )
    def test_shapes(self, port: Port, s2sz: int, level: int, tables: int) -> None:
        """The last IPA of each shape in real use ends in the last table."""
        realm = a_realm(s2sz, level, tables)
        w = rtt.walk(port, realm, realm.ipa_top - 0x1000, level)
        assert w.table == BASE + (tables - 1) * 0x1000
        assert (w.table - BASE) // 8 + w.slot == (realm.ipa_top // rtte.level_size(level)) - 1


class TestTop:
    """``top`` tells the Host how far there is nothing."""

    @given(st.lists(st.integers(0, 511), max_size=4, unique=True), st.integers(0, 511))
    @settings(max_examples=50)
    def test_skip(self, port: Port, used: list[int], slot: int) -> None:
        """The next live entry of the table, or its end; the address itself when something is there."""
        port.zero(TABLE3, 4096)
        for index in used:
            port.write64(TABLE3 + 8 * index, rtte.assigned(RmiRipas.EMPTY, PAGE, 3))
        base, ipa = 0x4000_0000, 0x4000_0000 + slot * 0x1000
        w = rtt.Walk(3, TABLE3, slot, port.read64(TABLE3 + 8 * slot))
        after = min((index for index in used if index > slot), default=512)
        assert rtt.skip_top(port, ipa, w) == (ipa if slot in used else base + after * 0x1000)

    def test_from_inside_an_entry(self, port: Port) -> None:
        """An address inside a large entry counts from the entry's start."""
        port.zero(TABLE3, 4096)
        w = rtt.Walk(2, TABLE3, 1, 0)
        assert rtt.skip_top(port, 0x20_5000, w) == 0x4000_0000


class TestLiveness:
    """A table is live when it holds a table or protected memory."""

    @pytest.mark.parametrize("name", sorted(entries(2)))
    def test_one_entry(self, port: Port, name: str) -> None:
        """Mappings of Non-secure memory do not count."""
        port.zero(TABLE3, 4096)
        port.write64(TABLE3 + 8 * 300, entries(2)[name])
        assert rtt.table_live(port, TABLE3) == (name == "TABLE" or (name.startswith("ASSIGNED") and name[9:] != "NS"))


class TestFold:
    """Folding undoes unfolding, and nothing else folds."""

    @pytest.mark.parametrize("level", [2, 3])
    def test_round_trip(self, port: Port, level: int) -> None:
        """Any leaf unfolds into a table that folds into the same leaf."""
        for name, entry in entries(level - 1).items():
            if name == "TABLE":
                continue
            port.write(TABLE3, rtt.children(entry, level))
            assert rtt.fold(port, TABLE3, level) == entry, name
            child = port.read64(TABLE3 + 8 * 7)
            if rtte.live(entry):
                assert rtte.address(child) == rtte.address(entry) + 7 * rtte.level_size(level)
            assert rtte.kind_of(child, level) == rtte.kind_of(entry, level - 1)

    @pytest.mark.parametrize("slot", [0, 1, 511])
    @pytest.mark.parametrize("name", sorted(entries(2)))
    def test_mixed(self, port: Port, name: str, slot: int) -> None:
        """One entry of another kind, RIPAS or address keeps the table."""
        entry = entries(2)[name]
        if name == "TABLE":
            port.write(TABLE3, entry.to_bytes(8, "little") * 512)
        else:
            port.write(TABLE3, rtt.children(entry, 3))
            wrong = RmiRipas.DESTROYED if "DESTROYED" not in name else RmiRipas.RAM
            port.write64(TABLE3 + 8 * slot, rtte.assigned(wrong, PAGE + 0x1000, 3))
        assert rtt.fold(port, TABLE3, 3) is None

    @pytest.mark.parametrize("odd", [None, 0, 100, 511])
    def test_no_block_above_level_1(self, port: Port, odd: int | None) -> None:
        """A level 1 table says one thing, or not, as any other does: that there is no such block is no matter of it."""
        first = entries(1)["ASSIGNED_NS"] & ~rtte.ADDRESS
        port.write(TABLE3, rtt.children(first, 1))
        if odd is not None:
            port.write64(TABLE3 + 8 * odd, first + 600 * rtte.level_size(1))
        assert rtt.common(port, TABLE3, 1) == (first if odd is None else None)

    def test_unaligned(self, port: Port) -> None:
        """Contiguous pages that do not start at a block boundary stay a table."""
        block = rtte.assigned(RmiRipas.RAM, 0x8_8000_0000, 2)
        port.write(TABLE3, rtt.children(block + 0x1000, 3))
        assert rtt.fold(port, TABLE3, 3) is None
