"""Two runs of the same images are the same to the last event, with PEs that run, wait and talk to each other."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ns_code import OFF, assemble, constant

from cca_arch.psci import Psci
from realmlab import NsMachine

RUNS = {"four": 10, "rmi": 2, "board": 2}
PES = 4
TURNS = 24_576  # of each PE; far more than fit into the time that a PE has before the next one has its turn
SHARED = 0x8900_0000  # a lock, then how many PEs are done, then the turns that each has had

# every PE takes the lock by exclusives, waits in WFE when it is taken, and says its number on the way
FOUR = f"""
    {constant("x19", SHARED)} {constant("x20", 0x1C09_0000)} mov x21, #0;
    {"".join(
        f"{constant('x0', Psci.CPU_ON_64)} mov x1, #{number << 8}; adr x2, second; mov x3, #{number}; smc #0;"
        for number in range(1, PES)
    )}
    b work;
second: {constant("x19", SHARED)} {constant("x20", 0x1C09_0000)} mov x21, x0;
work: mov x22, #{TURNS}; add x23, x19, #8;
take: ldaxr w0, [x19]; cbz w0, free; wfe; b take;
free: mov w0, #1; stxr w1, w0, [x19]; cbnz w1, take;
    add w2, w21, #48; tst x22, #2047; b.ne quiet; str w2, [x20];
quiet: mrs x3, cntpct_el0; ldr x4, [x19, #16]; add x4, x4, x3; str x4, [x19, #16];
    stlr wzr, [x19]; sev; subs x22, x22, #1; b.ne take;
count: ldaxr w0, [x23]; add w0, w0, #1; stlxr w1, w0, [x23]; cbnz w1, count;
    sev; cbnz x21, rest;
all: ldar w0, [x23]; cmp w0, #{PES}; b.eq done; wfe; b all;
done: {OFF}
rest: {constant("x0", Psci.CPU_OFF)} smc #0;
"""


@pytest.fixture
def four(tmp_path: Path) -> str:
    """The file of a program for four PEs."""
    path = tmp_path / "four.bin"
    path.write_bytes(assemble(FOUR))
    return str(path)


def traced(image: str, path: Path) -> bytes:
    """The trace of a run to the end."""
    with NsMachine(image, trace=path, nonvolatile=[(0x9800_0000, 0x1000)]) as machine:
        result = machine.run(max_insns=200_000_000)
        assert (result.status, result.message) == (0, "")
        assert sum(count > 0 for count in result.retired) >= (2 if image == "rmi" else PES)
    return path.read_bytes()


class TestRuns:
    """Time is virtual, PEs take turns in a fixed order, and nothing depends on the process."""

    @pytest.mark.parametrize("payload", RUNS)
    def test_same_trace(self, payload: str, four: str, tmp_path: Path) -> None:
        """Run after run, on machines of their own, gives an identical trace."""
        image = four if payload == "four" else payload
        first = traced(image, tmp_path / "first.jsonl")
        assert first.count(b"\n") > 80
        for _ in range(RUNS[payload] - 1):
            assert traced(image, tmp_path / "again.jsonl") == first

    def test_other_process(self, four: str, tmp_path: Path, run: Callable[[str], bytes]) -> None:
        """Other processes, in which sets and dictionaries have another order, give the same traces."""
        assert run("1") == run("2") == traced(four, tmp_path / "here.jsonl")

    @pytest.fixture
    def run(self, four: str, tmp_path: Path) -> Callable[[str], bytes]:
        """The trace of a run in a process with this hash seed."""

        def start(seed: str) -> bytes:
            path = tmp_path / f"{seed}.jsonl"
            command = [sys.executable, "-m", "cca_tools", "run", "--world", "ns-el2", four, "--trace", str(path)]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": seed}
            options = ["--nonvolatile", "0x98000000:4K", "-q"]
            subprocess.run([*command, *options], check=True, env=environment, capture_output=True)
            return path.read_bytes()

        return start

    def test_interleaving(self, four: str) -> None:
        """The PEs of the program really work at the same time: their turns are mixed."""
        with NsMachine(four) as machine:
            console = machine.run(max_insns=10_000_000).console
        assert sorted(console) == sorted(b"0123" * 12)
        assert console != bytes(sorted(console))
