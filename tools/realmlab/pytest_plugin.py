"""Machines for pytest: fixtures, markers, and trace and console excerpts in the reports of failing tests.

::

    @pytest.mark.realm("hello", vcpus=2, board="virt")
    def test_hello(realm):                      # a live Realm, stopped before its first instruction
        realm.expect("Hello")

    def test_twice(realm_machine):              # a machine for any Realms
        assert realm_machine.run_realm("hello").status == 0

    @pytest.mark.ns("firmware.elf", el=1)
    def test_boot(ns_machine):                  # a machine with these images at Non-secure EL2 or EL1
        ns_machine.expect("ready", max_insns=10_000_000)

Realmlab is not imported until a test uses a fixture.
"""

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from .machine import Machine
    from .ns import NsMachine
    from .realm import Realm

__all__ = ["ns_machine", "realm", "realm_machine"]

EVENTS: Final = 20
"""How many of the last trace events a report shows."""
LINES: Final = 20
"""How many of each console's last lines a report shows."""
LINE: Final = 4096
"""How many of the last characters of a line without an end it shows."""


class Recorder:
    """A trace sink that keeps the last events and what the consoles showed."""

    def __init__(self) -> None:
        self.machine: Machine | NsMachine | None = None
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS)
        self._lines: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LINES))
        self._line: defaultdict[str, str] = defaultdict(str)

    def write(self, record: dict[str, Any]) -> None:
        """Take a record."""
        name, device = record["event"], record.get("device", "")
        board = {} if self.machine is None else self.machine.devices
        if name == "console.write":
            end = "\n" if device in board else ""  # a UART of the board sends lines
            *lines, rest = (self._line[device] + record["text"] + end).split("\n")
            self._lines[device] += lines
            self._line[device] = rest[-LINE:]
        elif not (name.startswith("mmio.") and hasattr(board.get(device), "on_output")):  # consoles are shown as text
            self._events.append(record)

    def close(self) -> None:
        """Do nothing: the records are kept for the report."""

    def sections(self) -> Iterator[tuple[str, str]]:
        """The heading and text of each section of a report."""
        from cca_platform.printable import printable
        from cca_platform.trace.sinks import render

        if self.machine is not None:
            yield "Realmlab: machine", repr(self.machine)
        if self._events:
            yield f"Realmlab: last {len(self._events)} events", "\n".join(map(render, self._events))
        for device, text in self.machine._unfinished().items() if self.machine is not None else ():
            self._line[device] += text
        for device, text in self._line.items():
            shown = [*self._lines[device], *([text] if text else [])]
            lines = "\n".join(shown).splitlines()[-LINES:]
            yield f"Realmlab: console {printable(device)}", "\n".join(printable(one.expandtabs()) for one in lines)


_RECORDERS: Final = pytest.StashKey[list[Recorder]]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for line in (
        "realm(payload, **options): the payload of the fixture realm, and its options, such as vcpus=2; those of the "
        "machine, such as board='virt', are for realm_machine, too",
        "ns(*images, **options): the images that ns_machine loads, and its options, such as el=1",
    ):
        config.addinivalue_line("markers", line)


def _record(request: pytest.FixtureRequest, options: dict[str, Any]) -> Recorder:
    """A recorder for the test, attached to the trace in ``options`` or to a new one."""
    import os

    from cca_platform.trace.sinks import JsonLines
    from cca_platform.trace.trace import Trace

    recorder, asked = Recorder(), options.get("trace")
    if isinstance(asked, str | os.PathLike):
        options["trace"] = Trace(recorder, JsonLines(asked))
    elif asked is None:
        options["trace"] = Trace(recorder)
    else:
        asked.add(recorder)
    request.node.stash.setdefault(_RECORDERS, []).append(recorder)
    return recorder


def _marked(request: pytest.FixtureRequest, name: str) -> tuple[list[Any], dict[str, Any]]:
    """Merge the markers of a test: arguments of the nearest that has any, options of all, the nearest last."""
    arguments: list[Any] = []
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(name))):
        arguments = list(marker.args) or arguments
        options |= marker.kwargs
    return arguments, options


def _of_machine() -> set[str]:
    """The options of a machine, as opposed to those of a Realm."""
    from .options import MachineOptions, declared

    return {"board", *declared(MachineOptions)}


@pytest.fixture
def realm_machine(request: pytest.FixtureRequest) -> "Iterator[Machine]":
    """A booted machine that runs Realms, with the machine options of ``@pytest.mark.realm(...)``."""
    from .machine import Machine

    _, marked = _marked(request, "realm")
    options = {name: value for name, value in marked.items() if name in _of_machine()}
    recorder = _record(request, options)
    with Machine(**options) as machine:
        recorder.machine = machine
        yield machine
    options["trace"].close()


@pytest.fixture
def realm(request: pytest.FixtureRequest, realm_machine: "Machine") -> "Iterator[Realm]":
    """A live Realm for the payload and options of ``@pytest.mark.realm(payload, ...)``."""
    payload, marked = _marked(request, "realm")
    if len(payload) != 1:
        raise pytest.UsageError("realm must have a payload: mark the test with @pytest.mark.realm('hello')")
    options = {name: value for name, value in marked.items() if name not in _of_machine()}
    with realm_machine.realm(payload[0], **options) as live:
        yield live


@pytest.fixture
def ns_machine(request: pytest.FixtureRequest) -> "Iterator[NsMachine]":
    """A machine with the images and options of ``@pytest.mark.ns(...)``."""
    from .ns import NsMachine

    images, options = _marked(request, "ns")
    if not images:
        raise pytest.UsageError("ns_machine must have images: mark the test with @pytest.mark.ns('firmware.elf')")
    recorder = _record(request, options)
    with NsMachine(images, **options) as machine:
        recorder.machine = machine
        yield machine
    options["trace"].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Add what the machines of the test did to the report of a failure."""
    report = yield
    if report.failed:
        for recorder in item.stash.get(_RECORDERS, []):
            report.sections.extend(recorder.sections())
    return report
