"""The built tier does what the stock tier does: output, status and trace are the same, byte by byte.

Without a library of ``make fast`` there is nothing to compare. ``--both-tiers`` compares every bundled payload on each
CPU model, and 1,000 random programs: ``make tiers``.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ns_code import ENTRY, OFF, assemble, constant

from cca_platform import tier
from cca_tools.imports import ROOT
from realmlab import NsMachine
from realmlab.bundled import BUNDLED

INSTRUCTIONS = 3_000_000
FEW = ("hello", "irq", "pmu", "selfmod", "faults", "crosscode", "ns_gpf")
SEEDS = 6
PARTS = 10
TIERS = ("stock", "built")
RANDOM = ROOT / "tests" / "support" / "tier_random.py"
WHICH = "from cca_platform.engine import library; print(library.tier())"


def start(folder: str, *words: str) -> "subprocess.Popen[bytes]":
    """Start Python with what ``folder`` has for it; empty is the stock tier."""
    path = os.pathsep.join(filter(None, [*sys.path, str(RANDOM.parent)]))
    environment = {**os.environ, tier.VARIABLE: folder, "PYTHONPATH": path}
    return subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ends(*running: "subprocess.Popen[bytes]") -> list[tuple[int, bytes]]:
    """The status and output of each."""
    return [(one.wait(), text) for one, text in [(one, one.communicate()[0]) for one in running]]


@pytest.fixture(scope="session")
def folders() -> dict[str, str]:
    """The folder of each tier."""
    built = tier.folder() or ROOT / "build" / "fast"
    if ends(start(str(built), "-c", WHICH)) != [(0, b"built\n")]:
        pytest.skip("there is no library of make fast to compare with")
    return {"stock": "", "built": str(built)}


def pytest_generate_tests(metafunc: Any) -> None:
    """All payloads on all models, or a few on the first; all random programs in parts, or a few."""
    every = metafunc.config.getoption("--both-tiers")
    if "payload" in metafunc.fixturenames:
        metafunc.parametrize("cpu", ["a72", "max"] if every else ["a72"])
        metafunc.parametrize("payload", sorted(BUNDLED) if every else FEW)
    if "part" in metafunc.fixturenames:
        count = 1_000 // PARTS
        parts = [(count * part, count * (part + 1)) for part in range(PARTS)] if every else [(0, SEEDS)]
        metafunc.parametrize("part", parts, ids=lambda part: "{}-{}".format(*part))


class TestPayloads:
    def test_payload(self, folders: dict[str, str], payload: str, cpu: str, tmp_path: Path) -> None:
        """A payload prints and ends alike on both tiers, and its trace is the same to the last byte."""
        words = BUNDLED[payload].command(payload).split()[1:]
        traces = {name: tmp_path / f"{name}.jsonl" for name in TIERS}
        options = ["--cpu", cpu, "--max-insns", str(INSTRUCTIONS)]
        if "--max-insns" in words:
            options = options[:2]
        stock, built = ends(
            *(start(folders[name], "-m", "cca_tools", *words, *options, "--trace", str(traces[name])) for name in TIERS)
        )
        assert built == stock
        assert traces["built"].read_bytes() == traces["stock"].read_bytes()
        assert traces["stock"].stat().st_size


class TestRandom:
    @pytest.mark.timeout(1200)
    def test_programs(self, folders: dict[str, str], part: tuple[int, int]) -> None:
        """Random programs at Non-secure EL2 leave the same time, registers and memory on both tiers."""
        (stock, one), (built, other) = ends(*(start(folders[name], str(RANDOM), *map(str, part)) for name in TIERS))
        assert (stock, built) == (0, 0)
        assert [text.split(b"\n", 1)[0].decode() for text in (one, other)] == list(TIERS)
        assert other.splitlines()[1:] == one.splitlines()[1:]
        assert len(one.splitlines()) == 1 + part[1] - part[0]


EL1, VECTORS_EL1, VECTORS_EL2 = ENTRY + 0x400, ENTRY + 0x800, ENTRY + 0x1000
START = """
    {vbar_el1} msr vbar_el1, x0; {vbar_el2} msr vbar_el2, x0; {hcr} msr hcr_el2, x0; {elr} msr elr_el2, x0;
    mov x0, #{spsr}; msr spsr_el2, x0; eret
"""
VIRQ = 1 << 31 | 1 << 7 | 1 << 4  # HCR_EL2.{RW, VI, IMO}


class TestCounts:
    @pytest.mark.parametrize(("spsr", "before"), [(0x05, 0), (0x85, 3)], ids=["at once", "when it is unmasked"])
    def test_virtual_interrupt(self, spsr: int, before: int, tmp_path: Path) -> None:
        """The block that a virtual interrupt of HCR_EL2.VI keeps from running is not counted."""
        values = {"vbar_el1": VECTORS_EL1, "vbar_el2": VECTORS_EL2, "hcr": VIRQ, "elr": EL1}
        main = assemble(START.format(spsr=spsr, **{name: constant("x0", one) for name, one in values.items()}))
        off = assemble(OFF, VECTORS_EL2 + 0x400)
        parts = {
            ENTRY: main,
            EL1: assemble("nop; nop; msr daifclr, #2; nop; nop; here: b here", EL1),
            VECTORS_EL1 + 0x280: assemble("nop; hvc #0", VECTORS_EL1 + 0x280),
            VECTORS_EL2 + 0x400: off,
        }
        image = bytearray(0x1500)
        for at, code in parts.items():
            image[at - ENTRY : at - ENTRY + len(code)] = code
        (tmp_path / "virq.bin").write_bytes(image)
        with NsMachine(tmp_path / "virq.bin") as machine:
            result = machine.run(max_insns=1_000)
        assert result.retired[0] == len(main) // 4 + before + 2 + len(off) // 4
