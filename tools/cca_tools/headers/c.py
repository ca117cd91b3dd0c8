"""Headers for C, which assembly can include as well."""

from collections.abc import Iterator, Mapping
from itertools import count

from cca_arch.fields import Field, Member, Struct

from .tables import Fields, Header, Item, Layout, Numbers

__all__ = ["NOTE", "c_header", "c_name", "c_words"]

NOTE = "Written by `make payloads` from the tables in the code."
_SCALARS = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}
_SMALL = 0xFF
_WHOLE = 64
"""Structures are aligned to their size, from this size on; smaller ones would be registers."""


def c_header(name: str, header: Header) -> str:
    """The text of a header."""
    guard = f"ABI_{name.upper()}_H"
    parts = [_part(item) for item in header.items]
    structs = [text for text, item in zip(parts, header.items, strict=True) if isinstance(item, Layout)]
    others = [text for text, item in zip(parts, header.items, strict=True) if not isinstance(item, Layout)]
    body = "\n".join(others)
    if structs:
        body += "\n#ifndef __ASSEMBLER__\n\n" + "\n".join(structs) + "\n#endif\n"
    return (
        f"// {header.about}. {NOTE}\n// SPDX-License-Identifier: BSD-3-Clause\n"
        f'#ifndef {guard}\n#define {guard}\n\n#include "abi/number.h"\n\n{body}\n#endif\n'
    )


def c_words(lists: Mapping[str, tuple[str, Mapping[int, str]]]) -> str:
    """A header with lists of numbers and their words, each a macro that applies another to every pair."""
    parts = []
    for name, (about, words) in lists.items():
        rows = [f'    X({number:#04x}, "{text}")' for number, text in sorted(words.items())]
        parts.append(f"// {about}.\n#define {name}(X) \\\n" + " \\\n".join(rows) + "\n")
    return (
        f"// Numbers in words, for messages. {NOTE}\n// SPDX-License-Identifier: BSD-3-Clause\n"
        "#ifndef ABI_WORDS_H\n#define ABI_WORDS_H\n\n" + "\n".join(parts) + "\n#endif\n"
    )


def _part(item: Item) -> str:
    if isinstance(item, Numbers):
        lines = [f"#define {name} {_number(value)}" for name, value in item.pairs]
        return "\n".join((f"// {item.title}.", *lines, ""))
    if isinstance(item, Fields):
        own = vars(item.bits)
        lines = [
            line
            for name, field in item.bits.fields().items()
            if item.inherited or name in own
            for line in _field(item.prefix + name.rstrip("_").upper(), field)
        ]
        return "\n".join((f"// {item.title}.", *lines, ""))
    return "\n".join((*_struct(item), ""))


def _number(value: int) -> str:
    """A status or an index is an int; what may be shifted or complemented has all the bits of a register."""
    if value < 0:
        return f"({value})"
    return str(value) if value <= _SMALL else f"U64({value:#x})"


def _field(name: str, field: Field) -> Iterator[str]:
    """A bit is a mask; of a wider field there are the mask, the place, and a macro that takes it out of a word."""
    if field.width == 1:
        yield f"#define {name} U64({field.mask:#x})"
    else:
        yield f"#define {name}_SHIFT {field.low}"
        yield f"#define {name}_MASK U64({field.mask:#x})"
        yield f"#define {name}(word) (((word) >> {field.low}) & {field.ones:#x})"


def c_name(struct: Struct) -> str:
    """RsiHostCall is struct rsi_host_call."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in struct.name).lstrip("_")


def _struct(item: Layout) -> Iterator[str]:
    struct, pads = item.struct, count()
    name = c_name(struct)
    yield f"// {struct.name}."
    yield f"struct {name} {{"
    for part in item.laid_out():
        if isinstance(part, int):
            yield f"    u8 pad{next(pads)}[{part:#x}];"
        else:
            yield f"    {_member(part, item.parts.get(part.name))};"
    yield f"}} __attribute__((aligned({struct.size if struct.size >= _WHOLE else 8})));"
    for member in struct.members.values():
        yield (
            f"_Static_assert(__builtin_offsetof(struct {name}, {member.name}) == {member.offset:#x}, "
            f'"{struct.name}.{member.name}");'
        )
    yield f'_Static_assert(sizeof(struct {name}) == {struct.size:#x}, "{struct.name}");'


def _member(member: Member, part: Struct | None) -> str:
    if part is not None:
        return f"struct {c_name(part)} {member.name}"
    if member.size not in _SCALARS:
        return f"u8 {member.name}[{member.size * member.count}]"
    kind = _SCALARS[member.size].replace("u", "s") if member.signed else _SCALARS[member.size]
    return f"{kind} {member.name}" + (f"[{member.count}]" if member.count > 1 else "")
