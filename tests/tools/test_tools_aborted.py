"""The engine that gives up ends the process, but not without a word."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

NOBODY_KNOWS = 0x6EC1_3C05  # half precision, three same, with an opcode that is not allocated


@pytest.mark.parametrize("world", ["realm", "ns-el2"])
def test_end(world: str, tmp_path: Path) -> None:
    """Status 3, one line that says what to do, the output until then, and a whole trace."""
    (tmp_path / "code").write_bytes(struct.pack("<3I", 0xD503_201F, NOBODY_KNOWS, 0x1400_0000))
    where = "code" if world == "realm" else "code@0x88000000"
    words = ["run", "--world", world, where, "--cpu", "max", "--max-insns", "1000", "--trace", "run.jsonl"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))}
    done = subprocess.run(
        [sys.executable, "-m", "cca_tools", *words], capture_output=True, text=True, check=False, cwd=tmp_path,
        timeout=60, env=environment,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if line.startswith("realmlab: ")]
    assert (done.returncode, len(ours)) == (3, 1), done.stderr
    assert "half precision" in ours[0] and "--cpu a72" in ours[0]
    events = [json.loads(line)["event"] for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert events[0] == "trace.start" and len(events) > 10


def test_a72(tmp_path: Path) -> None:
    """A CPU model without half precision takes an exception there, as hardware does."""
    (tmp_path / "code").write_bytes(struct.pack("<3I", 0xD503_201F, NOBODY_KNOWS, 0x1400_0000))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))}
    done = subprocess.run(
        [sys.executable, "-m", "cca_tools", "run", "code", "--max-insns", "1000", "--json"],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60, env=environment,
    )  # fmt: skip
    assert json.loads(done.stdout)["reason"] in ("stuck", "limit")
