"""Loads and stores as native code decodes them: what the decoder of all instructions says, or nothing."""

import random
from typing import Final

import pytest

from cca_platform.engine import forms
from cca_platform.isa import access as la
from cca_platform.isa.decoder import decode
from cca_platform.memory.words import address_of, words
from cca_platform.native import block as w

_GROUPS: Final = (0x3800_0000, 0x2800_0000)
_U64: Final = (1 << 64) - 1


def _words(seed: int) -> list[int]:
    """Random instructions of the groups of loads and stores."""
    chosen = random.Random(seed)
    return [chosen.getrandbits(32) & ~0x3A00_0000 | chosen.choice(_GROUPS) for _ in range(4_000)]


@pytest.mark.parametrize("seed", range(3))
def test_like_the_decoder(seed: int) -> None:
    """Address, sizes, direction, and whether the register is in the syndrome; most of them are dealt with."""
    block, chosen, known = words(w.P_WORDS), random.Random(seed), 0
    p, unsigned = address_of(block), memoryview(block).cast("B").cast("Q")
    for number in range(31):
        unsigned[w.P_X + number] = chosen.getrandbits(64)
    unsigned[w.P_SP] = chosen.getrandbits(64)
    x = [unsigned[w.P_X + number] for number in range(31)]
    for word in _words(seed):
        if not forms.decode(p, word):
            continue
        known += 1
        access = decode(word)
        assert access is not None and access.aborts and not access.authenticated, f"{word:#x}"
        assert access.kind in (la.Kind.LOAD, la.Kind.STORE) and not access.exclusive and not access.acquire_release
        found = [unsigned[one] for one in (w.P_ACCESS_AT, w.P_ACCESS_SIZE, w.P_ACCESS_TOTAL, w.P_ACCESS_WRITES)]
        at = la.address(access, x, unsigned[w.P_SP], 0)
        assert found == [at & _U64, access.size, access.total, access.is_write], f"{word:#x} {access}"
        assert unsigned[w.P_ACCESS_DESCRIBED] == access.isv, f"{word:#x} {access}"
    assert known > 2_000


def test_others() -> None:
    """Exclusives, atomics, what orders, what is relative to PC, prefetches and authenticated pointers are not."""
    block = words(w.P_WORDS)
    others = (0xC85F7C20, 0xF8200020, 0xC8DFFC20, 0x58000040, 0xF9800020, 0xF8200420, 0x0C407000, 0xD50B7420)
    assert not any(forms.decode(address_of(block), word) for word in others)
