"""Programs whose registers a test reads afterwards, at Non-secure EL2 and in a Realm, and what a test presupposes."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ns_code import ENTRY, OFF, assemble
from realm_code import load
from rmm_host import RAM, to_code

import realmlab

__all__ = ["DUMP", "Dump", "ns_registers", "realm_dumps", "require"]

_SAVED = 29  # X0..X28
_NS_SAVE = 0x8810_0000
_NS_VECTORS, _NS_HANDLER = _NS_SAVE + 0x8000, _NS_SAVE + 0x9000
_SYNDROME = "mrs x20, esr_el{el}; mrs x21, far_el{el}; mrs x22, elr_el{el}; mrs x23, spsr_el{el}"

_CALL = RAM + 0x10_0000  # the RsiHostCall of DUMP
_REALM_VECTORS, _REALM_HANDLER = RAM + 0x8_0000, RAM + 0x8_1000
_CONSOLE_WRITE = 1
_SYSTEM_OFF = 0x8400_0008
_HOST_CALL = 0xC400_0199
_DUMPED = 28  # X0..X27

DUMP = (
    f"{load('x28', _CALL)}; "
    + "".join(f"str x{number}, [x28, #{8 * (3 + number)}]; " for number in range(_DUMPED))
    + "mov x29, #0x524c; str x29, [x28]; "
    + f"mov x29, #{_CONSOLE_WRITE}; str x29, [x28, #8]; mov x29, #{8 * _DUMPED}; str x29, [x28, #16]; "
    + f"{load('x0', _HOST_CALL)}; mov x1, x28; smc #0; "
)
"""In a Realm: send X0..X27 to the host's console; X0, X1, X28 and X29 are lost."""


class Dump(NamedTuple):
    """What a Realm sent with each DUMP, and how its run ended."""

    registers: list[list[int]]
    result: realmlab.RunResult


def require(condition: bool, what: str) -> None:
    """What has to hold before the rule of a test is looked at; RuntimeError, which no expected failure raises."""
    if not condition:
        raise RuntimeError(f"the test needs that {what}")


def ns_registers(
    source: str, data: Mapping[int, bytes] | None = None, max_insns: int = 100_000, **options: Any
) -> list[int]:
    """X0..X28 at the end of code at Non-secure EL2.

    After an exception X20..X24 are ESR, FAR, ELR, SPSR and the offset of the vector. ``data`` are more images by
    address, ``options`` those of the machine. The code may not use X30.
    """
    save = "".join(f"str x{number}, [x30, #{8 * number}]; " for number in range(_SAVED))
    end = f"{load('x30', _NS_SAVE)}; {save} {OFF} hang: b hang"
    start = f"{load('x30', _NS_VECTORS)}; msr vbar_el2, x30; isb"
    vectors = bytearray(0x800)
    for offset in range(0, 0x800, 0x80):
        at = _NS_VECTORS + offset
        code = assemble(f"mov x24, #{offset}; {load('x30', _NS_HANDLER)}; br x30", at)
        vectors[offset : offset + len(code)] = code
    parts = {
        ENTRY: assemble(f"{start}; {source}; {end}"),
        _NS_VECTORS: bytes(vectors),
        _NS_HANDLER: assemble(f"{_SYNDROME.format(el=2)}; {end}", _NS_HANDLER),
        **(data or {}),
    }
    images = [realmlab.NsImage(content, at, f"part at {at:#x}") for at, content in parts.items()]
    with realmlab.NsMachine(images, entry=ENTRY, **options) as machine:
        result = machine.run(max_insns=max_insns)
        require(result.reason == "system_off", f"the code comes to its end, not: {result.message}")
        return list(struct.unpack(f"<{_SAVED}Q", machine.memory.backdoor.read(_NS_SAVE, 8 * _SAVED)))


def realm_dumps(source: str, folder: Path, trace: realmlab.Trace | None = None, max_insns: int = 300_000) -> Dump:
    """Run code at the start of a Realm of 16 MiB, then SYSTEM_OFF.

    After an exception there is one DUMP more, with ESR, FAR, ELR, SPSR and the offset of the vector in X20..X24.
    """
    off = f"{load('x0', _SYSTEM_OFF)}; smc #0; hang: b hang"
    parts = {RAM: f"{load('x30', _REALM_VECTORS)}; msr vbar_el1, x30; isb; {source}; {off}"}
    for offset in range(0, 0x800, 0x80):
        parts[_REALM_VECTORS + offset] = f"mov x24, #{offset}; {load('x30', _REALM_HANDLER)}; br x30"
    parts[_REALM_HANDLER] = f"{_SYNDROME.format(el=1)}; {DUMP} {off}"
    image = b""
    for at, text in parts.items():
        require(len(image) <= at - RAM, f"the code before {at:#x} ends there")
        image = image.ljust(at - RAM, b"\0") + to_code(text, at)
    path = folder / "realm.bin"
    path.write_bytes(image)
    with realmlab.Machine(trace=trace) as machine:
        result = machine.run_realm(path, memory="16M", max_insns=max_insns)
    size = 8 * _DUMPED
    sent = [result.console[at : at + size] for at in range(0, len(result.console) - size + 1, size)]
    return Dump([list(struct.unpack(f"<{_DUMPED}Q", one)) for one in sent], result)
