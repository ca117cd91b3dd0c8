"""Whatever software does to the GIC, it goes on working, and Non-secure software changes nothing that is Secure."""

import random
from typing import Any

import pytest
from gic_bench import REGISTERS, Bench

SECURE_SPI, SECURE_SGI, GROUP0_SPI = 40, 9, 41
ENCODINGS = tuple(REGISTERS.values())
SIZES = (1, 2, 4, 4, 4, 8)


def offset(rng: random.Random) -> int:
    """Within a frame; mostly where there are registers."""
    if rng.random() < 0.2:
        return rng.randrange(0x1_0000)
    small = rng.randrange(0x80)
    registers = 0x80 * rng.randrange(1, 30) + 4 * rng.randrange(4)
    return rng.choice((0, 0x14, 0x40, 0x48, 0x50, 0x400 + small, 0xC00 + 4 * small, 0x6100 + 4 * small, registers))


def value(rng: random.Random) -> int:
    """64 bits, or a few."""
    return rng.choice((rng.getrandbits(64), rng.getrandbits(8), 1 << rng.randrange(64), 0, (1 << 64) - 1))


def access(bench: Bench, rng: random.Random, ns: bool) -> None:
    """One access to a frame or to a register of the CPU interface, at any level of Non-secure or of any state."""
    gic: Any = bench.gic
    if rng.random() < 0.5:
        secure = not ns and rng.random() < 0.5
        if rng.random() < 0.5:
            frame, at = (gic.secure_distributor if secure else gic.distributor), offset(rng)
        else:
            frame = gic.secure_redistributors if secure else gic.redistributors
            at = rng.randrange(8) * 0x1_0000 + offset(rng)
        size = rng.choice(SIZES)
        if rng.random() < 0.6:
            frame.write(at, size, value(rng) & (1 << 8 * size) - 1)
        else:
            assert 0 <= frame.read(at, size) < 1 << 8 * size
    else:
        cpu, security = rng.choice(gic.cpus), rng.choice((1, 3) if ns else (0, 1, 2, 3))
        el, hcr = rng.randrange(3 if ns else 4), rng.choice((0, 0x10, 0x18, rng.getrandbits(64)))
        encoding = rng.choice(ENCODINGS)
        if rng.random() < 0.5:
            assert -2 <= cpu.read(encoding, el, security, hcr) < 1 << 64
        else:
            assert cpu.write(encoding, value(rng), el, security, hcr) in (0, -1, -2)


class TestStorm:
    """Random accesses of every size, at every level, between changes of lines."""

    @pytest.mark.parametrize("seed", range(4))
    def test_any(self, seed: int) -> None:
        """No exception; what is saved comes back."""
        rng, bench = random.Random(seed), Bench().start()
        kept = bench.gic.save()
        for step in range(4000):
            access(bench, rng, ns=False)
            if step % 5 == 0:
                bench.gic.set_line(rng.randrange(32, 96), rng.random() < 0.5)
                bench.gic.set_ppi(rng.randrange(3), rng.randrange(16, 32), rng.random() < 0.5)
            if step % 500 == 250:
                state, told = bench.gic.save(), list(bench.told)
                bench.gic.restore(kept)
                bench.gic.restore(state)
                assert (bench.gic.save(), bench.told) == (state, told)

    @pytest.mark.parametrize("seed", range(4))
    def test_non_secure(self, seed: int) -> None:
        """Secure interrupts keep their state and configuration, and Secure registers their value."""
        rng, bench = random.Random(seed), Bench().start()
        bench.secure(SECURE_SPI)
        bench.secure(GROUP0_SPI, group0=True)
        bench.secure(SECURE_SGI)
        bench.msr("S-EL1", "ICC_IGRPEN1_EL1", 1)
        bench.priority(SECURE_SPI, 0x40, secure=True)
        bench.bits(0x200, SECURE_SPI, value=True, secure=True)
        assert bench.mrs("S-EL1", "ICC_IAR1_EL1") == SECURE_SPI
        before = secure_state(bench)
        for _ in range(4000):
            access(bench, rng, ns=True)
        assert secure_state(bench) == before


def secure_state(bench: Bench) -> list[int]:
    """All that Non-secure software must not change."""
    interrupts = (SECURE_SPI, GROUP0_SPI, SECURE_SGI)
    bitmaps = (0x80, 0x100, 0x200, 0x300, 0xD00)
    state: list[int] = [bench.bits(at, intid, secure=True) for intid in interrupts for at in bitmaps]
    for intid in (SECURE_SPI, GROUP0_SPI):
        state += [bench.gicd(0x400 + intid, 1, secure=True), bench.gicd(0x6000 + 8 * intid, 8, secure=True)]
        state.append(bench.gicd(0xC08, 4, secure=True) >> 2 * (intid - 32) & 3)
    state += [bench.gicd(0, 4, secure=True) & 5, bench.gicr(0, 0x14, 4, secure=True)]
    at_s_el1 = ("ICC_AP1R0_EL1", "ICC_BPR1_EL1", "ICC_CTLR_EL1", "ICC_IGRPEN1_EL1")
    at_el3 = ("ICC_BPR0_EL1", "ICC_AP0R0_EL1", "ICC_IGRPEN0_EL1")
    return state + [bench.mrs("S-EL1", name) for name in at_s_el1] + [bench.mrs("EL3", name) for name in at_el3]
