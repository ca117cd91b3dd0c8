"""The same tables for Rust: one file without dependencies, a module for each header."""

from collections.abc import Iterator
from itertools import count

from cca_arch.fields import Member, Struct

from .c import NOTE
from .tables import Fields, Header, Item, Layout, Numbers

__all__ = ["rust_source"]

_TOP = (
    "//! Constants and structures of the interfaces that a payload uses, by the names that they have in C. {note}\n"
    "// SPDX-License-Identifier: BSD-3-Clause\n#![allow(dead_code)]\n"
)
_WORDS = {"type", "ref", "use", "mod", "fn", "in"}
_SCALARS = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}


def rust_source(headers: dict[str, Header]) -> str:
    """The text of the file."""
    parts = [_TOP.format(note=NOTE)]
    for name, header in headers.items():
        lines = [f"    {line}" if line else "" for item in header.items for line in _part(item)]
        parts.append("\n".join((f"/// {header.about}.", f"pub mod {name} {{", *lines, "}", "")))
    return "\n".join(parts)


def _part(item: Item) -> Iterator[str]:
    if isinstance(item, Numbers):
        yield f"// {item.title}."
        for name, value in item.pairs:
            yield f"pub const {name}: {'i64' if value < 0 else 'u64'} = {value if value < 0 else f'{value:#x}'};"
    elif isinstance(item, Fields):
        own = vars(item.bits)
        yield f"// {item.title}."
        for key, field in item.bits.fields().items():
            if not item.inherited and key not in own:
                continue
            name = item.prefix + key.rstrip("_").upper()
            if field.width == 1:
                yield f"pub const {name}: u64 = {field.mask:#x};"
            else:
                yield f"pub const {name}_SHIFT: u32 = {field.low};"
                yield f"pub const {name}_MASK: u64 = {field.mask:#x};"
    else:
        yield from _struct(item)
    yield ""


def _struct(item: Layout) -> Iterator[str]:
    struct, pads = item.struct, count()
    yield f"/// {struct.name}."
    yield f"#[repr(C, align({struct.size}))]"
    yield f"pub struct {struct.name} {{"
    for part in item.laid_out():
        if isinstance(part, int):
            yield f"    pub pad{next(pads)}: [u8; {part:#x}],"
        else:
            yield f"    pub {_identifier(part.name)}: {_kind(part, item.parts.get(part.name))},"
    yield "}"
    for member in struct.members.values():
        name = _identifier(member.name)
        yield f"const _: () = assert!(core::mem::offset_of!({struct.name}, {name}) == {member.offset:#x});"
    yield f"const _: () = assert!(core::mem::size_of::<{struct.name}>() == {struct.size:#x});"


def _identifier(name: str) -> str:
    """The name of a member as Rust takes it, where it is one of its words."""
    return f"r#{name}" if name in _WORDS else name


def _kind(member: Member, part: Struct | None) -> str:
    if part is not None:
        return part.name
    if member.size not in _SCALARS:
        return f"[u8; {member.size * member.count}]"
    kind = _SCALARS[member.size].replace("u", "i") if member.signed else _SCALARS[member.size]
    return f"[{kind}; {member.count}]" if member.count > 1 else kind
