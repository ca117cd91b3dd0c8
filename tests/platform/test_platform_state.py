"""Saved state: plain data under a schema with a version, and what is made of it."""

import importlib
import re
from collections.abc import Iterator

import msgspec
import pytest

from cca_platform import state
from cca_platform.errors import StateError
from cca_platform.state import AnyState, Difference, State, decode, diff, encode
from cca_tools.imports import modules


class Lamp(State, frozen=True, tag="test-lamp/2"):
    level: int
    name: str = ""


class Shelf(State, frozen=True, tag="test-shelf/1"):
    lamps: tuple[Lamp, ...]
    others: dict[str, AnyState]
    pages: dict[int, bytes]
    nothing: int | None = None


SHELF = Shelf((Lamp(1), Lamp((1 << 64) - 1, "high")), {"left": Lamp(-3)}, {4096: b"\0\1"})



def states(of: type[State] = State) -> Iterator[type[State]]:
    """Every State record of the project."""
    for one in of.__subclasses__():
        if one.__module__.startswith("cca_"):
            yield one
        yield from states(one)


class TestEveryRecord:
    """What the records of all components have in common."""

    def test_frozen(self) -> None:
        """A record cannot be changed after it was saved, and its tag has a name and a version."""
        for package in ("cca_platform", "cca_firmware", "cca_rmm", "cca_host"):
            for module in modules(package):
                importlib.import_module(module)
        found = list(states())
        assert len(found) > 30
        for record in found:
            assert record.__struct_config__.frozen, record
            name, _, version = str(record.__struct_config__.tag).partition("/")
            assert name and version.isdecimal(), record


class TestEncoding:
    """What is written is what is read, or it is refused."""

    def test_round_trip(self) -> None:
        """Records in records, and those whose kind is known at run time alone, come back as what they were."""
        found = decode(encode(SHELF), Shelf)
        assert found == SHELF
        assert isinstance(found.others["left"], Lamp)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"schema": "test-lamp/1"}, "saved state of test-lamp must have version 2: it is test-lamp/1"),
            ({"schema": "nonesuch/1"}, "of a component that this machine knows, not 'nonesuch/1'"),
            ({"level": "bright"}, "must fit test-lamp/2: Expected `int`, got `str` - at `$.level`"),
            ({"extra": 1}, "must fit test-lamp/2: Object contains unknown field `extra`"),
        ],
    )
    def test_misfits(self, change: dict[str, object], message: str) -> None:
        """Another version, another component, another type and another field: each is refused with its place."""
        plain = msgspec.msgpack.decode(encode(SHELF))
        plain["others"]["left"] |= change
        with pytest.raises(StateError, match=re.escape(message)):
            decode(msgspec.msgpack.encode(plain), Shelf)

    def test_place(self) -> None:
        """The message names the record that does not fit."""
        plain = msgspec.msgpack.decode(encode(SHELF))
        del plain["lamps"][1]["level"]
        with pytest.raises(StateError, match=re.escape("saved state lamps[1] must fit test-lamp/2")):
            decode(msgspec.msgpack.encode(plain), Shelf)

    def test_other_kind(self) -> None:
        """A state of something else, and what is no state, are refused, however it is nested."""
        with pytest.raises(StateError, match="must be test-shelf/1, not test-lamp/2"):
            decode(encode(Lamp(1)), Shelf)
        with pytest.raises(StateError, match="must be test-shelf/1, not list"):
            decode(msgspec.msgpack.encode([1]), Shelf)
        for deep in (b"\x91" * 900 + b"\xc0", b"\x91" * 50_000 + b"\xc0", b"\x81\xa1a" * 50_000 + b"\xc0"):
            with pytest.raises(StateError, match="saved state must "):
                decode(deep, Shelf)
        with pytest.raises(StateError, match="must be MessagePack"):
            decode(b"\xc1", Shelf)

    def test_names(self) -> None:
        """Every schema that is declared has a name of its own and a version."""
        tags = [str(one.__struct_config__.tag) for one in state._declared(State)]
        assert len(set(tags)) == len(tags)
        assert all(re.fullmatch(r"[a-z0-9.-]+/[1-9]\d*", tag) for tag in tags)
        assert (Lamp.kind(), Lamp.version()) == ("test-lamp", 2)


class TestDiff:
    """Two states side by side."""

    def test_same(self) -> None:
        """Equal states do not differ."""
        assert list(diff(SHELF, decode(encode(SHELF), Shelf))) == []

    def test_paths(self) -> None:
        """Each difference has its path and both values; a key of one side alone is None in the other."""
        other = Shelf((Lamp(1), Lamp(7, "high")), {}, {4096: b"\0\2"}, 5)
        assert list(diff(SHELF, other)) == [
            Difference("lamps[1].level", (1 << 64) - 1, 7),
            Difference("others['left']", Lamp(-3), None),
            Difference("pages[4096]", b"\0\1", b"\0\2"),
            Difference("nothing", None, 5),
        ]

    def test_lengths(self) -> None:
        """Sequences of other lengths differ as a whole."""
        assert [one.path for one in diff(SHELF, msgspec.structs.replace(SHELF, lamps=()))] == ["lamps"]


class TestWords:
    """Sets of numbers as the words of registers."""

    def test_round_trip(self) -> None:
        """Each word has 32 numbers."""
        bits = 1 | 1 << 33 | 1 << 95
        assert state.to_words(bits, 96) == (1, 2, 1 << 31)
        assert state.from_words((1, 2, 1 << 31)) == bits
