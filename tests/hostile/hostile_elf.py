"""Hostile ELF files: bundled payloads and small files of our own, of which fields, tables, names or code are broken."""

import random
import struct
from functools import cache
from typing import NamedTuple

import elf_files
from hostile_case import Case, Content, ends, line, secure_line
from hostile_mutate import ESCAPES, mutate, number

from realmlab import find_payload

__all__ = ["elf_case", "payload", "spoil"]

_HEADER = [  # (offset, size) of the fields of the file header, without the magic
    (4, 1), (5, 1), (6, 1), (7, 1), (16, 2), (18, 2), (20, 4), (24, 8), (32, 8), (40, 8), (48, 4), (52, 2), (54, 2),
    (56, 2),
    (58, 2), (60, 2), (62, 2),
]  # fmt: skip
_SEGMENT = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8)]
_SECTION = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8)]
_SYMBOL = [(0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8)]
_RELOCATION = [(0, 8), (8, 4), (12, 4), (16, 8)]
_DYNAMIC = [(0, 8), (8, 8)]
_SYMTAB, _STRTAB, _RELA, _DYNAMIC_TABLE, _RELR, _PROGBITS = 2, 3, 4, 6, 19, 1
_ROWS = {_SYMTAB: _SYMBOL, _RELA: _RELOCATION, _DYNAMIC_TABLE: _DYNAMIC, _RELR: [(0, 8)], 11: _SYMBOL}
_SIZES = {_SYMTAB: 24, _RELA: 24, _DYNAMIC_TABLE: 16, _RELR: 8, 11: 24}
REALM = ("hello", "uart", "el0", "attest", "lost", "rsi", "faults", "compute")
NS = ("ns_rmi", "ns_gpf", "rmi", "ns_enter", "secure_call")


class _Table(NamedTuple):
    """Rows of a table in the file: where it is, the size of a row, how many, and the fields of one."""

    at: int
    row: int
    count: int
    fields: list[tuple[int, int]]


@cache
def payload(name: str) -> bytes:
    """A bundled payload."""
    return find_payload(name).read_bytes()


def _field(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _tables(data: bytes) -> tuple[list[_Table], list[tuple[int, int, int]]]:
    """The tables of a sound ELF file, and its sections as (type, offset, size)."""
    segments, sections = _field(data, 32, 8), _field(data, 40, 8)
    tables = [_Table(segments, 56, _field(data, 56, 2), _SEGMENT)]
    found = []
    if sections:
        tables.append(_Table(sections, 64, _field(data, 60, 2), _SECTION))
        for number in range(_field(data, 60, 2)):
            at = sections + 64 * number
            found.append((_field(data, at + 4, 4), _field(data, at + 24, 8), _field(data, at + 32, 8)))
    tables += [_Table(at, _SIZES[kind], size // _SIZES[kind], _ROWS[kind]) for kind, at, size in found if kind in _ROWS]
    return [table for table in tables if table.count], found


def _put(source: random.Random, data: bytearray, at: int, size: int) -> None:
    near = _field(data, at, size)
    data[at : at + size] = number(source, 8 * size, near).to_bytes(size, "little")


def spoil(source: random.Random, data: bytes) -> bytes:
    """An ELF file of which something is broken."""
    found = bytearray(data)
    tables, sections = _tables(data)
    for _ in range(source.choice((1, 1, 1, 2, 3, 6))):
        match source.randrange(11):
            case 0 | 1:
                _put(source, found, *source.choice(_HEADER))
            case 2 | 3:
                _row(source, found, tables[0])
            case 4 | 5 | 6:
                _row(source, found, source.choice(tables))
            case 7 if sections:
                _, at, size = source.choice(sections)
                found[at : at + size] = mutate(source, bytes(found[at : at + size]))[:size].ljust(size, b"\0")
            case 8 if names := [(at, size) for kind, at, size in sections if kind == _STRTAB and size > 40]:
                at, size = source.choice(names)
                where = at + source.randrange(size - 20)
                bad = source.choice((*ESCAPES, "\xff")).encode("latin-1", "replace")
                found[where : where + len(bad)] = bad
            case 9 if source.random() < 0.4:
                del found[source.randrange(len(found)) :]
                return bytes(found)
            case _:
                found[:] = mutate(source, bytes(found), 1)
                return bytes(found)
    return bytes(found)


def _row(source: random.Random, data: bytearray, table: _Table) -> None:
    at, size = source.choice(table.fields)
    at += table.at + table.row * source.randrange(table.count)
    if at + size <= len(data):
        _put(source, data, at, size)


def _own(source: random.Random) -> bytes:
    """A small file of our own: a few segments of any place and size, perhaps with relocations."""
    if source.random() < 0.3:
        rows = ((number(source), source.choice((1027, 257, 0, number(source))), number(source)) for _ in range(4))
        table = b"".join(struct.pack("<3Q", *row) for row in rows)
        return elf_files.moved(source.choice((7, 17, 36, 23)), source.choice((8, 18, 35, 2)), table)
    parts = []
    for _ in range(source.choice((0, 1, 1, 2, 3, 40))):
        words = [source.choice((0xD503201F, 0xD4000003, 0x14000000, source.getrandbits(32))) for _ in range(4)]
        place, size = min(number(source), (1 << 64) - 0x1000), source.choice((16, number(source)))
        parts.append((source.choice((1, 1, 1, 2, 3, 4, 7, 0x6474E551)), place, struct.pack("<4I", *words), size))
    return elf_files.elf(*parts, kind=source.choice((2, 3)), row=source.choice((56, 56, 0, 64, 0xFFFF)))


def _data(source: random.Random, names: tuple[str, ...]) -> bytes:
    if source.random() < 0.2:
        return _own(source)
    return spoil(source, payload(source.choice(names)))


def elf_case(source: random.Random, number: int) -> Case:
    """An ELF file for each command that reads one."""
    files: dict[str, Content] = {}
    outputs: set[str] = set()
    choice = source.randrange(100)
    if choice < 40:
        files["x.elf"] = _data(source, REALM)
        argv = line(
            "run", "x.elf", "--max-insns", "30000", *source.choice(((), ("--json",), ("-q",), ("--vcpus", "2")))
        )
    elif choice < 65:
        files["x.elf"] = _data(source, NS)
        where = source.choice(("x.elf",) * 6 + ("x.elf@0x90000000", "x.elf@0x1000", "x.elf@0xfff00000"))
        argv = line("run", "--world", "ns-el2", where, "--max-insns", "30000")
    elif choice < 72:
        files["x.elf"] = _data(source, ("secure", "secure_virt"))
        argv = secure_line("x.elf", "300000", "60000")
    elif choice < 90:
        files["x.elf"] = _data(source, (*REALM, *NS))
        argv = line("inspect", "x.elf", *source.choice(((), (), ("--json",))))
    elif choice < 94:
        files["x.elf"] = _data(source, (*REALM, *NS))
        outputs.add("y.elf")
        argv = line("inspect", "x.elf", "--repair", "y.elf")
    else:
        files["x.elf"] = _data(source, REALM)
        place = b'{"seq":%d,"time":0,"pe":0,"world":"realm","el":1,"event":"fault.x","pc":"0x%x"}\n'
        files["t.jsonl"] = b"".join(place % (n, 0x8000_0000 + 64 * n) for n in range(40))
        argv = line("trace", "show", "t.jsonl", "--symbols", "x.elf")
    statuses, raw = ends(argv)
    return Case("elf", number, argv, files, statuses, outputs=frozenset(outputs), raw=raw)
