"""The Realm's console: what the trace shows of the bytes that a Realm sends."""

from typing import Any

import pytest

import realmlab
from cca_host.kvmtool import RunOptions, Vmm
from cca_host.kvmtool.console import Console

TEXT = "é€😀"


@pytest.fixture
def console(system: Any) -> Console:
    """The console of a run that has not begun."""
    return Vmm(system, RunOptions(payload="none")).console


@pytest.fixture
def listing(system: Any) -> realmlab.Listing:
    """The trace of the machine."""
    made = realmlab.Listing()
    system.machine.trace.add(made)
    return made


def texts(listing: realmlab.Listing, device: str = "uart") -> str:
    """What the trace shows of one device."""
    return "".join(
        record["text"] for record in listing if record["event"] == "console.write" and record["device"] == device
    )


class TestText:
    """A character shows when its last byte has come."""

    def test_devices(self, console: Console, listing: realmlab.Listing) -> None:
        """Each device has its own characters, however their bytes mix."""
        for byte in TEXT.encode():
            for device in ("uart", "host-call"):
                console._emit(device, bytes([byte]))
        assert (texts(listing), texts(listing, "host-call")) == (TEXT, TEXT)
        assert bytes(console.sent)[::2] == TEXT.encode()

    def test_saved(self, console: Console, listing: realmlab.Listing) -> None:
        """The beginning of a character is saved state, whether anybody traces or not."""
        first, *rest = TEXT[1].encode()
        console._emit("uart", bytes([first]))
        saved = console.save()
        console._emit("uart", bytes(rest))
        console.restore(saved)
        console._emit("uart", bytes(rest))
        assert texts(listing) == 2 * TEXT[1]
        assert console.save().partial == {}
