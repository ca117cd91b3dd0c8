"""Mutations that suit every format: of bytes, of numbers, and of values in a tree."""

import random
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

__all__ = [
    "ESCAPES",
    "NUMBERS",
    "TEXTS",
    "alike",
    "at",
    "changed",
    "deep",
    "mutate",
    "number",
    "paths",
    "place",
    "text",
    "value",
]

NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x100, 0xFFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0xFFFF,
    0x1_0000, 0x20_0000, 0x4000_0000, 0x7FFF_FFFF, 0x8000_0000, 0x8800_0000, 0xFC00_0000, 0xFFFF_F000, 0xFFFF_FFFF,
    1 << 32, 8 << 32, 1 << 40, 1 << 47, 1 << 48, (1 << 52) - 4096, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 4096,
    (1 << 64) - 1,
)  # fmt: skip
"""Numbers at which something ends."""
ESCAPES = (
    "\x1b]0;pwned\x07",
    "\x1b[31mX\x1b[2J",
    "\x9b31m",
    "\u202eevil\u202c",
    "\u2066a\u2069",
    "a\rb",
    "a\nb",
    "\x00",
)
"""Text that a terminal would obey."""
TEXTS = (
    "", " ", "x", "-", "--", "..", "/", "\u00e9", "\u6f22\u5b57", "\U0001f600", "a" * 300, "%s%n", "{0}", "$(id)",
    "[bold]",
    "0x", "1e9", "nan", "True", "null", "\ufeff", "\u2028", "\ud7ff", *ESCAPES,
)  # fmt: skip
"""Text that somebody may take for something else."""
_CHUNK = 64


def number(source: random.Random, bits: int = 64, near: int = 0) -> int:
    """A number of ``bits`` bits at which something may end, also one that is near ``near``."""
    choice = source.randrange(6)
    if choice < 3:
        picked = source.choice(NUMBERS) + source.choice((0, 0, 0, -1, 1))
    elif choice == 3:
        picked = near + source.choice((-4096, -8, -1, 1, 8, 4096, 1 << 20))
    elif choice == 4:
        picked = near ^ 1 << source.randrange(bits)
    else:
        picked = source.getrandbits(source.randrange(1, bits + 1))
    return picked & (1 << bits) - 1


def text(source: random.Random) -> str:
    """A text."""
    if source.random() < 0.2:
        return "".join(chr(source.choice((source.randrange(32, 127), source.randrange(0x2100)))) for _ in range(8))
    return source.choice(TEXTS)


def mutate(source: random.Random, data: bytes, times: int = 0) -> bytes:
    """Bytes of which some are flipped, overwritten, removed, doubled, moved or cut off."""
    found = bytearray(data)
    for _ in range(times or source.choice((1, 1, 2, 4, 16))):
        where = source.randrange(len(found) + 1)
        size = source.choice((1, 1, 2, 4, 8, source.randrange(1, _CHUNK)))
        match source.randrange(8):
            case 0 | 1 if where < len(found):
                found[where] ^= 1 << source.randrange(8)
            case 2:
                found[where : where + size] = source.randbytes(size)
            case 3:
                found[where : where + size] = bytes((source.choice((0, 0x7F, 0x80, 0xFF)),)) * size
            case 4:
                del found[where : where + size]
            case 5:
                found[where:where] = found[where : where + size] * source.choice((1, 1, 8))
            case 6:
                other = source.randrange(len(found) + 1)
                found[where : where + size] = found[other : other + size]
            case 7 if source.random() < 0.3:
                del found[where:]
            case _:
                found[where : where + 8] = number(source).to_bytes(8, source.choice(("little", "big")))
    return bytes(found)


def deep(depth: int, leaf: Any = 1) -> Any:
    """Lists in lists."""
    for _ in range(depth):
        leaf = [leaf]
    return leaf


_VALUES: tuple[Callable[[random.Random], Any], ...] = (
    lambda source: source.choice(NUMBERS),
    lambda source: -source.choice(NUMBERS),
    lambda source: source.choice((10**20, -(10**30), 1 << 64, 1 << 128)),
    lambda source: source.choice((0.5, 1e300, float("nan"), float("inf"), -0.0)),
    lambda source: source.random() < 0.5,
    text,
    text,
    lambda source: source.choice(([], [1], [[]], ["x"], [[1, "x"]], [{}], [True])),
    lambda source: source.choice(({}, {"a": 1}, {"": ""}, {"name": {"name": {}}}, {"x": [1]})),
    lambda source: date(1979, 5, 27),
    lambda source: deep(source.choice((3, 30, 90))),
)


def value(source: random.Random) -> Any:
    """A value of another type, or one that cannot be."""
    return source.choice(_VALUES)(source)


def paths(tree: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of each value in a tree of dictionaries and lists, and of the tree itself."""
    yield here
    if isinstance(tree, dict):
        for key in tree:
            yield from paths(tree[key], (*here, key))
    elif isinstance(tree, list):
        for index in range(len(tree)):
            yield from paths(tree[index], (*here, index))


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    """The value at a place."""
    for key in path:
        tree = tree[key]
    return tree


def place(tree: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a tree with another value at a place."""
    if not path:
        return new
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = place(tree[path[0]], path[1:], new)
    return copy


def _removed(tree: Any, path: tuple[Any, ...]) -> Any:
    holder = at(tree, path[:-1])
    copy = dict(holder) if isinstance(holder, dict) else list(holder)
    del copy[path[-1]]
    return place(tree, path[:-1], copy)


def _doubled(tree: Any, path: tuple[Any, ...]) -> Any:
    holder, one = at(tree, path[:-1]), at(tree, path)
    if isinstance(holder, list):
        return place(tree, path[:-1], [*holder, one])
    return place(tree, path[:-1], {**holder, f"{path[-1]}2": one})


def changed(source: random.Random, tree: Any, new: Callable[[random.Random], Any] = value) -> Any:
    """A tree of which something has another value, is missing, is there twice, or has changed places."""
    every = list(paths(tree))[1:]
    if not every:
        return new(source)
    path = source.choice(every)
    match source.randrange(10):
        case 0:
            return _removed(tree, path)
        case 1:
            return _doubled(tree, path)
        case 2:
            return place(tree, path, at(tree, source.choice(every)))
        case 3 if isinstance(at(tree, path), int):
            return place(tree, path, number(source, near=at(tree, path)))
        case _:
            return place(tree, path, new(source))


def alike(source: random.Random, tree: Any) -> Any:
    """A tree of which a value is another one of its type, or a row is missing: what passes the first checks."""
    every = [path for path in paths(tree) if path and not isinstance(at(tree, path), dict)]
    path = source.choice(every)
    old = at(tree, path)
    peers = [at(tree, other) for other in every if type(at(tree, other)) is type(old)]
    match old:
        case bool():
            return place(tree, path, not old)
        case int():
            steps = (-0x1000, 0x1000, 0x1_0000, -1, 1, 32, 0x10_0000, 1 << 30)
            new = source.choice((max(0, old + source.choice(steps)), source.choice(peers), 0, source.choice(NUMBERS)))
            return place(tree, path, new)
        case list() if old:
            return _removed(tree, (*path, source.randrange(len(old))))
        case _:
            return place(tree, path, source.choice(peers))
