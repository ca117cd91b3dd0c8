"""Secure payloads in assembly for tests: entries that do what a test gives, and otherwise only answer."""

import struct
from typing import Any

from ns_code import assemble, constant

from cca_arch.tsp import Tsp

__all__ = ["BASE", "FAST", "NOTES", "PREEMPT", "YIELDING", "notes", "payload"]

BASE = 0xFC00_0000
NOTES = BASE + 0x8000
FAST = 0xB200_2000
YIELDING = 0x3200_2000
PREEMPT = f"{constant('x0', Tsp.PREEMPTED)} smc #0;"
_VECTORS = (
    "yielding", "fast", "cpu_on", "cpu_off", "resume", "suspend", "interrupt", "system_off", "system_reset", "aborted",
)  # fmt: skip
_DONE = {
    "cpu_on": 1, "cpu_off": 2, "suspend": 3, "resume": 4, "interrupt": 6, "aborted": 7, "system_off": 8,
    "system_reset": 9,
}  # fmt: skip


def payload(start: str = "", ready: str = "adr x1, entries;", **entries: str) -> bytes:
    """A Secure payload: ``start`` runs first, ``ready`` puts the vectors into X1, ``entries`` are code by vector.

    A call is answered by SMC after its entry; without one in ``entries`` it returns X1..X3 as X1..X3 of the caller.
    """
    echo = "mov x4, x3; mov x3, x2; mov x2, x1; mov x1, #0;"
    body = ""
    for name in _VECTORS:
        if name in _DONE:
            body += f"{name}: {entries.get(name, '')} {constant('x0', 0xF200_0000 + _DONE[name])} smc #0; b never;"
        else:
            body += f"{name}: {entries.get(name, echo)} smc #0; b never;"
    table = "".join(f"b {name};" for name in _VECTORS)
    begin = f"{start} {ready} {constant('x0', 0xF200_0000)} smc #0; never: b never;"
    return assemble(f"{begin} entries: {table} {body} {entries.get('more', '')}", BASE)


def notes(booted: Any, count: int) -> list[int]:
    """What a payload has stored at NOTES."""
    return list(struct.unpack(f"<{count}Q", booted.machine.memory.backdoor.read(NOTES, 8 * count)))
