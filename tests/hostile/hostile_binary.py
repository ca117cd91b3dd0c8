"""Hostile Linux Images, raw images, device trees, files of nonvolatile memory, console input and traces."""

import json
import random
import struct
from functools import cache
from typing import Any

from hostile_case import Case, Content, Sparse, ends, line
from hostile_elf import payload
from hostile_mutate import TEXTS, changed, mutate, number, text

from cca_arch.devicetree import Node, flatten
from cca_firmware.package.devicetree import board_tree
from cca_platform.board import Board

__all__ = ["console_case", "dtb_case", "image_case", "kept_case", "trace_case"]

_IMAGE = struct.Struct("<2I6Q2I")
_CODE = struct.pack("<4I", 0xD503201F, 0xD503201F, 0xD4000003, 0x17FFFFFF)
_PACKED = (
    b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh9", b"\x04\x22\x4d\x18", b"\x5d\0\0", b"PK\x03\x04",
    b"MZ",
    b"!<arch>\n", b"\x89LZO\0", b"\xd0\x0d\xfe\xed", b"07070", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"#!/bin/sh\n",
)  # fmt: skip


def _image(source: random.Random) -> bytes:
    """A Linux Image, of which fields of the header are others."""
    fields = [0x14000010, 0, 0, 0x10000, 0xA, 0, 0, 0, 0x644D5241, source.choice((0, 0x40))]
    for _ in range(source.choice((0, 1, 1, 2, 3))):
        which = source.randrange(10)
        fields[which] = number(source, 64 if 1 < which < 8 else 32, fields[which])
    data = _IMAGE.pack(*fields) + _CODE * source.choice((1, 16, 4096))
    return data[: source.choice((len(data),) * 6 + (63, 64, 65, 4, 1))]


def image_case(source: random.Random, number_: int) -> Case:
    """Images that are no ELF files, one or several, at places that suit them or not."""
    files: dict[str, Content] = {}
    words = []
    for name in "abc"[: source.choice((1, 1, 1, 2, 3))]:
        match source.randrange(5):
            case 0 | 1:
                files[name] = _image(source)
            case 2:
                files[name] = source.choice(_PACKED) + source.randbytes(200)
            case 3:
                files[name] = source.choice((b"", b"\0", _CODE, _CODE * 3000, payload("hello"), bytes(1 << 16)))
            case _:
                files[name] = mutate(source, _image(source))
        places = (0x8800_0000, 0x9000_0000, 0x8000_0000, 0x8_8000_0000, 0xFBFF_F000, number(source))
        where = source.choice(("", "", f"@{source.choice(places):#x}", f"@{source.choice(places)}", f"@{text(source)}"))
        words.append((name + where).replace("\0", "\\0"))
    if source.random() < 0.5:
        argv = line("run", words[0].partition("@")[0], "--max-insns", "30000", *source.choice(((), ("--memory", "2M"))))
    else:
        entry = ("--entry", source.choice((f"{number(source):#x}", "0x88000000"))) if source.random() < 0.2 else ()
        argv = line("run", "--world", "ns-el2", *words, "--max-insns", "30000", *entry)
    statuses, raw = ends(argv)
    return Case("image", number_, argv, files, statuses, raw=raw)


# -- device trees ----------------------------------------------------------------------------------------------------
@cache
def _tree() -> bytes:
    return flatten(board_tree(Board.load("fvp")))


def _deep_tree(depth: int) -> bytes:
    """A tree of ``depth`` levels, made without its help."""
    structure = struct.pack(">I4s", 1, b"a") * depth + struct.pack(">I", 2) * depth + struct.pack(">I", 9)
    head = struct.pack(
        ">10I", 0xD00DFEED, 56 + len(structure), 56, 56 + len(structure), 40, 17, 16, 0, 0, len(structure)
    )
    return head + bytes(16) + structure


def _spoiled_tree(source: random.Random) -> bytes:
    data = bytearray(_tree())
    match source.randrange(8):
        case 0 | 1:
            at = 4 * source.randrange(10)
            data[at : at + 4] = number(source, 32, int.from_bytes(data[at : at + 4], "big")).to_bytes(4, "big")
        case 2 | 3:
            start, size = struct.unpack_from(">I", data, 8)[0], struct.unpack_from(">I", data, 36)[0]
            at = start + 4 * source.randrange(size // 4)
            data[at : at + 4] = source.choice((0, 1, 2, 3, 4, 9, 5, number(source, 32))).to_bytes(4, "big")
        case 4:
            return mutate(source, bytes(data))
        case 5 | 6:  # contents that do not touch the form
            at = source.randrange(200, len(data) - 400)
            data[at] ^= 1 << source.randrange(8)
        case _:
            node = Node("", {text(source).replace("\0", ""): text(source).replace("\0", "")})
            return source.choice((b"", _deep_tree(source.choice((10, 5000, 60_000))), flatten(node), bytes(data) * 60))
    return bytes(data)


def dtb_case(source: random.Random, number_: int) -> Case:
    """A device tree, or what is none."""
    argv = line("run", "--world", "ns-el2", "ns_rmi", "--dtb", "d.dtb", "--max-insns", "60000")
    statuses, raw = ends(argv)
    return Case("dtb", number_, argv, {"d.dtb": _spoiled_tree(source)}, statuses, raw=raw)


# -- nonvolatile memory ----------------------------------------------------------------------------------------------
def kept_case(source: random.Random, number_: int) -> Case:
    """Ranges of nonvolatile memory with files of any size."""
    files: dict[str, Content] = {}
    words: list[str] = []
    for name in "ab"[: source.choice((1, 1, 2))]:
        base, size, file = f"{0x9000_0000 if name == 'a' else 0x9010_0000:#x}", "64K", f"={name}"
        files[name] = bytes(1 << 16)
        match source.randrange(6):
            case 0:
                places = (0x9001_0000, 0x8_8000_0000, 0xFC00_0000, 0x8800_0000, 0, number(source))
                base = source.choice((*(hex(one) for one in places), "-1", text(source)))
            case 1:
                sizes = ("0", "1", "-1", "0x1001", "4K", "1M", "64G", "x", str(number(source)), text(source))
                size = source.choice(sizes)
            case 2:
                file = source.choice(("", "=", "=.", "=none/x", f"={name}={name}", "=/dev/null", "=a"))
            case 3:
                contents: tuple[Content, ...] = (
                    bytes(4096),
                    b"",
                    b"x",
                    Sparse(1 << 36),
                    Sparse(1 << 20),
                    Sparse(1 << 16),
                )
                files[name] = source.choice(contents)
            case 4:
                del files[name]
        words += ["--nonvolatile", f"{base}:{size}{file}".replace("\0", "")]
    argv = line("run", "--world", "ns-el2", "ns_rmi", *words, "--max-insns", "60000")
    statuses, raw = ends(argv)
    return Case("kept", number_, argv, files, statuses, outputs=frozenset({"a", "b", "a=a", "b=b"}), raw=raw)


# -- console input ---------------------------------------------------------------------------------------------------
def console_case(source: random.Random, number_: int) -> Case:
    """What is typed, and boot arguments: any bytes and any text."""
    sizes = (0, 1, 16, 4096, 100_000)
    typed: tuple[Content, ...] = (
        source.randbytes(source.choice(sizes)),
        text(source).encode(errors="replace"),
        Sparse(1 << 36),
    )
    files: dict[str, Content] = {"typed": source.choices(typed, (8, 4, 1))[0]}
    names = ("uart", "hello", "attest", "smcstorm", "compute", "memory", "destroyed", "rsi")
    words = [text(source).replace("\0", "") for _ in range(source.choice((0, 1, 2, 20)))]
    words += [
        source.choice(("challenge=", "challenge=zz", "challenge=" + "ab" * 65, "host", "9" * 30, "-1", "x" * 100_000))
    ]
    argv = line(
        "run", source.choice(names), "--max-insns", "40000", "--console-input", "typed", *source.choice(((),
        ("--json",))),
        "--", *words[source.randrange(2) :],
    )  # fmt: skip
    statuses, raw = ends(argv[: argv.index(b"--")])
    return Case("console", number_, argv, files, statuses, raw=raw)


# -- traces ----------------------------------------------------------------------------------------------------------
_RECORDS: tuple[dict[str, Any], ...] = (
    {"event": "trace.start", "schema": 1, "realmlab": "0.1"},
    {"event": "rmi.call", "fid": "0xc4000151", "cmd": "GRANULE_DELEGATE", "args": {"addr": "0x80000000"}},
    {"event": "rmi.return", "fid": "0xc4000151", "status": "SUCCESS", "results": {}, "failed": None},
    {"event": "rec.exit", "reason": "SYNC", "esr": "0x9200004f", "far": "0x0", "hpfar": "0x10", "pc": "0x80000000"},
    {"event": "console.write", "text": "hello\n", "device": "uart0"},
    {"event": "exception.taken", "esr": "0x96000045", "elr": "0x80000040", "vector": "0x80000200", "il": [1, 2,
    {"a": 3}]},
)  # fmt: skip


def trace_case(source: random.Random, number_: int) -> Case:
    """A trace of which records are broken, filtered or not."""
    lines = []
    for seq in range(source.choice((1, 3, 10))):
        record: Any = {
            "seq": seq,
            "time": 10 * seq,
            "pe": seq % 2,
            "world": "realm",
            "el": 1,
            **source.choice(_RECORDS),
        }
        for _ in range(source.choice((0, 1, 1, 2))):
            record = changed(source, record) if isinstance(record, dict) else record
        if source.random() < 0.2 and isinstance(record, dict):
            record[text(source)] = text(source)
        lines.append(json.dumps(record, default=str, ensure_ascii=source.random() < 0.5).encode(errors="replace"))
    match source.randrange(12):
        case 0:
            depth = source.choice((100, 900, 50_000))
            lines.append(b'{"seq":1,"event":"x","a":' + b"[" * depth + b"]" * depth + b"}")
        case 1:
            lines.append(
                source.choice(
                    (b"", b"null", b"[]", b"1", b"{", b"\xff", b"\xef\xbb\xbf{}", b"9" * 5000, b'{"seq":1e999}')
                )
            )
        case 2:
            lines.append(b'{"seq":1,"event":"x","a":' + b"9" * source.choice((20, 400, 6000)) + b"}")
        case 3:
            lines.append(
                b'{"seq":1,"event":"x","esr":"0x' + b"f" * source.choice((16, 17, 5000)) + b'","pc":"0xz","elr":"-0x1"}'
            )
        case 4:
            lines.append(b'{"seq":1,"event":"x","a":"' + b"y" * 3_000_000 + b'"}')
    data = source.choice((b"\n", b"\n", b"\n", b"\r\n", b"", b"\n\n")).join(lines)
    if source.random() < 0.2:
        data = mutate(source, data)
    words = ["trace", "show", source.choice(("t", "t", "-"))]
    for option, values in (("--event", TEXTS), ("--pe", ("0", "1", "-1", "99999999999999999999")), ("--world",
    ("realm", "x", "")),
                           ("--since", ("0", "10", "-5")), ("--until", ("20", "1e3")), ("--symbols", ("hello", "none",
                           "t"))):  # fmt: skip
        if source.random() < 0.12:
            words += [option, source.choice(values).replace("\0", "")]
    argv = line(*words)
    stdin = data if words[2] == "-" else b""
    files: dict[str, Content] = {} if stdin else {"t": data}
    return Case("trace", number_, argv, files, ends(argv)[0], stdin=stdin)
