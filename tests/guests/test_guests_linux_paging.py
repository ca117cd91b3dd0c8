"""Debian's Linux in a Realm of 512M that may have 192M of granules at a time; ``--linux`` boots it."""

import hashlib
import json
import sys
from pathlib import Path
from subprocess import run

import pytest

START = [sys.executable, "-c", "import sys; from cca_tools.start import main; sys.exit(main())", "linux", "--json"]
FILES, LINES = 190, 20_000
SCRIPT = f"""set -e
    mkdir /w; mount -t tmpfs -o size=400M none /w; cd /w
    seq 1 {LINES} | sed 's/$/ some text that fills a line of source/' > base
    i=0; while [ $i -lt {FILES} ]; do (echo $i; cat base) > s$i; i=$((i+1)); done
    i=0; while [ $i -lt {FILES} ]; do cat s$i; i=$((i+1)); done | md5sum
    i=0; while [ $i -lt {FILES} ]; do gzip -1 -c s$i > o$i.gz; i=$((i+20)); done
    i=0; while [ $i -lt {FILES} ]; do gunzip -c o$i.gz; i=$((i+20)); done | md5sum
    sort -r s3 | head -1
    i=0; while [ $i -lt {FILES} ]; do cat s$i; i=$((i+1)); done | md5sum
"""
"""Writes, compresses and sorts 170 MB of files in a tmpfs, as a build would."""


@pytest.fixture(autouse=True)
def _asked(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--linux"):
        pytest.skip("--linux boots Debian's Linux")


def digest(numbers: range) -> str:
    """What md5sum prints for these files one after another."""
    base = "".join(f"{number} some text that fills a line of source\n" for number in range(1, LINES + 1))
    return hashlib.md5("".join(f"{number}\n{base}" for number in numbers).encode()).hexdigest() + "  -"


def test_limit(tmp_path: Path) -> None:
    """It prints what it would with all its memory; never has it more than the limit; nothing is left behind."""
    swap = tmp_path / "swap.img"
    options = ["--memory", "512M", "--extension", "paging", "--memory-limit", "192M", "--swap", str(swap)]
    done = run([*START, *options, "--", SCRIPT], capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    lines = [line.strip() for line in told["console"].splitlines()]
    for wanted in (digest(range(FILES)), digest(range(0, FILES, 20)), "9999 some text that fills a line of source"):
        assert wanted in lines
    assert lines.count(digest(range(FILES))) == 2
    assert told["granules"]["peak"] * 4096 <= 192 << 20
    assert (told["granules"]["left"], told["granules"]["dirty"]) == (0, 0)
    assert told["calls"]["PAGE_OUT"] > 10_000 and told["calls"]["PAGE_IN"] > 1_000
    assert swap.stat().st_size == 4096
