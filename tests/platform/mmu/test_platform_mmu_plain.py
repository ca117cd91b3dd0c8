"""The MMU as plain Python: the same source, the same answers.

Run as a script this file prints the answers of the random cases; the test runs it so with NUMBA_DISABLE_JIT=1.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cca_arch.types import Access, Gpi, SecurityState
from cca_platform.board import Board
from cca_platform.memory.memory import Memory
from cca_platform.mmu.regime import regime_of
from cca_platform.mmu.translate import fill, translate
from cca_platform.native import block as w
from cca_platform.native.jit import NATIVE

HERE = Path(__file__).parent
NOT_PLAIN = ("test_platform_mmu_oracle.py", Path(__file__).name)
DRAM, L0GPT, L1GPT = 0x8000_0000, 0xFFC0_0000, 0xFFC2_0000
STAGE1, STAGE2, TABLES = 0x8010_0000, 0x8020_0000, 64
ANSWER = (*range(w.P_OUT_PA, w.P_OUT_NG + 1), *range(w.P_FAULT_FSC, w.P_FAULT_GPT_LEVEL + 1))
EXTREMES = (0, -1, 1 << 47, -(1 << 47), -(1 << 63), (1 << 63) - 1)


def signed(value: int) -> int:
    """The same 64 bits as a signed number."""
    return value - (1 << 64) if value >> 63 else value


def descriptor(chance: random.Random, base: int) -> int:
    """A random descriptor: mostly a table or leaf that leads on, every other bit free."""
    kind = chance.choices((0, 1, 3), (5, 25, 70))[0]
    output = base + chance.randrange(TABLES) * 0x1000 if chance.random() < 0.9 else chance.getrandbits(36) << 12
    loose = chance.getrandbits(64) & 0xFF70_0000_0000_033C if chance.random() < 0.3 else 0x33C
    return output | loose | (chance.random() < 0.9) << 10 | chance.choice((0, 0x40, 0x80, 0xC0, 0xC0)) | kind


def build(memory: Memory, chance: random.Random) -> None:
    """Random tables of both stages, and a GPT in which most granules admit what comes."""
    for base, target in ((STAGE1, STAGE1), (STAGE2, STAGE1)):
        for page in range(TABLES):
            onward = STAGE2 if base == STAGE2 and page < TABLES // 2 else target
            words = [descriptor(chance, onward) for _ in range(512)]
            memory.backdoor.write(base + page * 0x1000, np.array(words, np.uint64).tobytes())
    for index in range(64):
        memory.backdoor.write64(L0GPT + 8 * index, chance.choice((Gpi.ANY, Gpi.ANY, Gpi.REALM)) << 4 | 1)
    memory.backdoor.write64(L0GPT + 8 * 2, L1GPT | 3)
    memory.backdoor.write(L1GPT, b"\xff" * (1 << 17))
    for page in range(0x10, 0x40):
        word = int("".join(f"{chance.choices((15, 11, 9, 0, 5), (90, 3, 3, 2, 2))[0]:x}" for _ in range(16)), 16)
        memory.backdoor.write64(L1GPT + 8 * page, word)
    memory.gptbr = L0GPT >> 12


def answers(seed: int, rounds: int, cases: int) -> list[list[int]]:
    """The status and every output word of random translations and fills, then what they did to memory."""
    chance = random.Random(seed)
    memory = Memory(Board.load("fvp"))
    tlb_pages = np.zeros(memory.pages, np.uint8)
    pe = np.zeros(w.P_WORDS, np.int64)
    pe[w.P_MACHINE], pe[w.P_TLB_PAGES], pe[w.P_TLB_ERA] = memory.block_address, int(tlb_pages.ctypes.data), 1
    p = int(pe.ctypes.data)
    found = []
    for _ in range(rounds):
        build(memory, chance)
        for _ in range(cases):
            size = chance.randrange(16, 40)
            pe[w.P_SECURITY] = chance.choice((SecurityState.SECURE, SecurityState.NON_SECURE, SecurityState.REALM))
            pe[w.P_EL] = chance.choice((0, 1, 1, 2))
            pe[w.P_REGIME] = regime_of(int(pe[w.P_EL]))
            pe[w.P_PAN] = chance.randrange(2)
            pe[w.P_SCTLR] = (chance.random() < 0.8) | chance.choice((0, 1 << 19, 1 << 12))
            tcr = chance.getrandbits(64) & ~0x3F00_3F | size | size << 16
            pe[w.P_TCR] = signed(tcr & ~0x80_0080 if chance.random() < 0.9 else tcr)
            pe[w.P_TTBR0] = STAGE1 + chance.randrange(TABLES) * 0x1000
            pe[w.P_TTBR1] = STAGE1 + chance.randrange(TABLES) * 0x1000
            pe[w.P_MAIR] = signed(chance.getrandbits(64))
            pe[w.P_HCR] = chance.choice((0, 1, 1)) | chance.choice((0, 1 << 46)) | chance.choice((0, 1 << 2, 1 << 12))
            pe[w.P_VTCR] = chance.choice((31, 32, 24, 22, 20, 16, 0)) | chance.randrange(4) << 6 | 5 << 16
            pe[w.P_VTTBR] = STAGE2 + chance.randrange(0, TABLES // 2, 16) * 0x1000
            memory.gpccr = chance.choice((0, 1 << 16)) | 1
            va = chance.getrandbits(64 - size)
            if chance.random() < 0.1:
                va = chance.choice((DRAM | va & 0xFFFF_FFFF, *EXTREMES))
            elif chance.random() < 0.4:
                va -= 1 << (64 - size)
            access = chance.choice(list(Access))
            status = chance.choice((translate, fill))(p, va, access)
            found.append([int(status), *(int(pe[word]) for word in ANSWER)])
    for pages in (memory.dirty, memory.executed, tlb_pages):
        found.append(np.flatnonzero(pages).tolist())
    found.append(list(memory.backdoor.read(STAGE1, TABLES * 0x1000)[1::8]))  # where AF is
    memory.close()
    return found


def run_plain(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with compilation turned off."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.skipif(not NATIVE, reason="compares compiled code with plain Python")
class TestPlainPython:
    """Nothing depends on compilation: walkers are debugged as plain Python."""

    def test_same_answers(self) -> None:
        """6,000 random translations and fills, all regimes, hardware updates and GPC: every word agrees."""
        native = answers(5, 6, 1000)
        done = run_plain(str(Path(__file__)), "5", "6", "1000")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == native
        fault_codes = {row[1 + ANSWER.index(w.P_FAULT_FSC)] for row in native[:-4]}
        assert len(fault_codes) > 20

    def test_same_rules(self) -> None:
        """The rule tests pass without compilation too."""
        rules = sorted(str(path) for path in HERE.glob("test_*.py") if path.name not in NOT_PLAIN)
        done = run_plain("-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", *rules)
        assert done.returncode == 0, done.stdout


if __name__ == "__main__":
    json.dump(answers(*map(int, sys.argv[1:])), sys.stdout)
