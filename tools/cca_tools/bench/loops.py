"""Small AArch64 loops to measure: position-independent words, built without an assembler.

The same words run in a Realm, at Non-secure EL2 and on Unicorn alone.
"""

import struct
from collections.abc import Sequence

__all__ = [
    "LOOP_LENGTH",
    "arithmetic",
    "call",
    "call_forever",
    "call_many",
    "code",
    "load_store",
    "move",
    "store_forever",
    "store_many",
    "store_pages",
]

SMC = 0xD4000003
_STORE_BYTE = 0x39000000 | 20 << 5 | 21  # STRB W21, [X20]
_NEXT_PAGE = 0x91400000 | 1 << 10 | 20 << 5 | 20  # ADD X20, X20, #1, LSL #12
LOOP_LENGTH = 64
"""Instructions per iteration of the loop of :func:`load_store`."""


def code(words: Sequence[int]) -> bytes:
    """Encode instructions as bytes."""
    return struct.pack(f"<{len(words)}I", *words)


def move(register: int, value: int) -> list[int]:
    """X``register`` = ``value``, always four instructions."""
    return [
        (0xD2800000 if part == 0 else 0xF2800000) | part << 21 | (value >> 16 * part & 0xFFFF) << 5 | register
        for part in range(4)
    ]


def _branch_back(words: int) -> int:
    """B back by ``words`` instructions."""
    return 0x14000000 | -words & 0x3FFFFFF


def _turns(counter: int, body: list[int]) -> list[int]:
    """Repeat ``body`` until X``counter`` reaches zero."""
    return [*body, 0xF1000400 | counter << 5 | counter, 0xB5000000 | (-(len(body) + 1) & 0x7FFFF) << 5 | counter]


def call(setup: Sequence[tuple[int, int]]) -> list[int]:
    """Once: set the registers in ``setup`` (number, value), SMC."""
    return [*(word for register, value in setup for word in move(register, value)), SMC]


def call_forever(setup: Sequence[tuple[int, int]], before: Sequence[int] = ()) -> list[int]:
    """Endlessly: ``before``, set the registers in ``setup`` (number, value), SMC."""
    words = [*before, *call(setup)]
    return [*words, _branch_back(len(words))]


def call_many(count: int, setup: Sequence[tuple[int, int]]) -> list[int]:
    """``count`` times: set the registers in ``setup``, SMC. X19 counts."""
    return [*move(19, count), *_turns(19, call(setup))]


def store_many(count: int, address: int) -> list[int]:
    """``count`` times: a byte to ``address``. X19 counts; X20 points."""
    return [*move(20, address), *move(19, count), *_turns(19, [_STORE_BYTE])]


def store_pages(count: int, address: int) -> list[int]:
    """Once to each of ``count`` pages from ``address``: a byte. X19 counts; X20 points."""
    return [*move(20, address), *move(19, count), *_turns(19, [_STORE_BYTE, _NEXT_PAGE])]


def store_forever(address: int) -> list[int]:
    """Endlessly: a byte to ``address``. X20 points."""
    return [*move(20, address), _STORE_BYTE, _branch_back(1)]


def arithmetic(turns: int, length: int = 256) -> list[int]:
    """``turns`` times ``length`` instructions in a row, without memory accesses. X19 counts."""
    add = [0x8B000000 | (n + 1) % 8 << 16 | n % 8 << 5 | n % 8 for n in range((length - 2) // 2)]
    eor = [0xCA000000 | (n + 3) % 8 << 16 | n % 8 << 5 | n % 8 for n in range((length - 2) // 2)]
    return [*move(19, turns), *_turns(19, [word for pair in zip(add, eor, strict=True) for word in pair])]


def load_store(turns: int, data: int) -> list[int]:
    """``turns`` times 64 instructions, all but two of them loads and stores at ``data``. X19 counts; X20 points."""
    stores = [0xF9000000 | n << 10 | 20 << 5 | n % 8 for n in range((LOOP_LENGTH - 2) // 2)]
    loads = [0xF9400000 | n << 10 | 20 << 5 | n % 8 for n in range((LOOP_LENGTH - 2) // 2)]
    body = [word for pair in zip(stores, loads, strict=True) for word in pair]
    return [*move(20, data), *move(19, turns), *_turns(19, body)]
