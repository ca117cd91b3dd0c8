"""The catalogue of the trace: event types, their fields, and the written form of each kind of field."""

from enum import StrEnum
from typing import Annotated, Any

import pytest
from msgspec import NODEFAULT

from cca_arch.rsi.v1_0 import RsiStatus
from cca_arch.types import Pas
from cca_platform.trace.events import EVENTS, Event, GptChange, name_of
from cca_platform.trace.forms import (
    UNSET,
    Address,
    Arguments,
    Count,
    Fid,
    Flag,
    Name,
    Octets,
    Status,
    UnsetType,
    Word,
    Words,
    fields_of,
)
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace


class Text(StrEnum):
    """An enumeration whose members are texts."""

    SYSTEM_OFF = "system_off"


def written(kind: Any, value: Any) -> Any:
    """What stands in the record for ``value`` in a field of a kind."""

    class Probe(Event, frozen=True, kw_only=True, tag="probe"):
        field: kind

    listing = Listing()
    Trace(listing).emit(Probe(field=value))
    return listing[1].get("field", "absent")


class TestForms:
    """The kind of a field says how its values are written."""

    @pytest.mark.parametrize(
        ("kind", "value", "text"),
        [
            (Address, 0x80000000, "0x80000000"),
            (Word, 2**64 - 1, "0xffffffffffffffff"),
            (Fid, Pas.REALM, "0x3"),
            (Count, 3, 3),
            (Flag, True, True),
            (Name, "text", "text"),
            (Name, Pas.ROOT, "ROOT"),
            (Name, Text.SYSTEM_OFF, "system_off"),
            (Octets, b"\x01\xff", "01ff"),
            (Status, 5, 5),
            (Status, RsiStatus.ERROR_INPUT, "ERROR_INPUT"),
            (Words, (1, 2), ["0x1", "0x2"]),
            (Arguments, [1, 2], ["0x1", "0x2"]),
            (Arguments, {"rd": 16, "pas": Pas.REALM}, {"rd": "0x10", "pas": "REALM"}),
        ],
    )
    def test_written(self, kind: Any, value: Any, text: Any) -> None:
        """Addresses are hexadecimal, counts numbers, enumerations names, bytes digits."""
        assert written(Annotated[kind, "what it is"], value) == text

    def test_none(self) -> None:
        """A field that may be None is null then, and as always otherwise."""
        kind = Annotated[Address | None, "what it is"]
        assert (written(kind, None), written(kind, 16)) == (None, "0x10")

    def test_absent(self) -> None:
        """A field that is not set is not in the record."""
        kind = Annotated[Address | UnsetType, "what it is"]
        assert (written(kind, UNSET), written(kind, 16)) == ("absent", "0x10")

    def test_kind_and_meaning(self) -> None:
        """A field without a kind or a meaning is a mistake in the catalogue."""
        for kind in (Address, Annotated[int, "what it is"]):
            with pytest.raises(AssertionError, match="field field must have a kind and a meaning"):
                written(kind, 1)


class TestCatalogue:
    """A class of the catalogue is all that its events can be."""

    def test_unknown_field(self) -> None:
        """An event cannot carry a field that its class does not declare."""
        values: dict[str, Any] = {"pa": 0, "size": 0, "old": "ROOT", "new": "REALM", "colour": 3}
        with pytest.raises(TypeError, match="colour"):
            GptChange(**values)

    def test_missing_field(self) -> None:
        """An event cannot leave out what every event of its class has."""
        values: dict[str, Any] = {"pa": 0, "size": 0, "old": "ROOT"}
        with pytest.raises(TypeError, match="new"):
            GptChange(**values)

    def test_frozen(self) -> None:
        """An event does not change."""
        event: Any = GptChange(pa=0, size=0, old="ROOT", new="REALM")
        with pytest.raises(AttributeError, match="immutable"):
            event.pa = 1

    @pytest.mark.parametrize("name", EVENTS)
    def test_declared(self, name: str) -> None:
        """Every type says what it and its fields mean; no field hides one of the head; only keywords make an event."""
        event = EVENTS[name]
        assert name_of(event) == name
        assert event.__doc__ and event.__doc__.endswith(".")
        assert event.__struct_config__.frozen
        assert not {"seq", "time", "pe", "world", "el", "event"} & set(event.__struct_fields__)
        assert [field.name for field in fields_of(event)] == list(event.__struct_fields__)
        assert all(field.meaning for field in fields_of(event))
        assert set(event.__struct_defaults__) <= {UNSET, NODEFAULT}
        with pytest.raises(TypeError, match="positional"):
            event("value")
