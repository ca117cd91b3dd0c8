"""Hostile inputs for every file format and command line: ``python tests/hostile [KIND | KIND:NUMBER ...]``.

Every input comes from its name alone. What does not end as documented is made smaller, and kept with the command that
runs it again. ``--scale`` runs a part of each kind, or more than all.
"""

import argparse
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

from hostile_kinds import KINDS, make  # noqa: E402 - tests are no package: their folders are on the path
from hostile_process import play, ready, run  # noqa: E402
from hostile_report import Table, keep  # noqa: E402
from hostile_verdict import complaints  # noqa: E402

ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "hostile"
_SHOWN = 15  # seconds between two lines of progress


def chosen(names: list[str], scale: float) -> list[tuple[str, int]]:
    """The inputs that are asked for, by kind and number."""
    found: list[tuple[str, int]] = []
    for name in names or KINDS:
        kind, _, number = name.partition(":")
        if kind not in KINDS:
            raise SystemExit(f"an input must be of one of {', '.join(KINDS)}, not {kind!r}")
        numbers = [int(number)] if number else range(max(1, round(KINDS[kind].count * scale)))
        found += [(kind, each) for each in numbers]
    return found


def main() -> int:
    """Run them; status 1 if one does not end as documented."""
    parser = argparse.ArgumentParser(prog="tests/hostile", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="KIND[:NUMBER]", help=f"of {', '.join(KINDS)}; default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each kind: 0.1 is a tenth")
    parser.add_argument("--width", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--tries", type=int, default=40, help="how many runs may make a failure smaller")
    parser.add_argument("--show", action="store_true", help="print what each writes")
    options = parser.parse_args()
    wanted = chosen(options.names, options.scale)
    ready()
    table, begin = Table(), time.monotonic()
    shown = begin
    for done, (case, end) in enumerate(run((make(*one) for one in wanted), options.width), 1):
        wrong = complaints(case, end)
        table.add(case, end, wrong)
        if options.show:
            print(f"{case.name}: status {end.status}\n{end.stdout[-2000:]!r}\n{end.stderr.decode(errors='replace')}")
        if wrong:
            print(f"{case.name}: {'; '.join(wrong)}", flush=True)
            keep(case, end, wrong, BUILD, play, options.tries)
        if time.monotonic() - shown > _SHOWN:
            shown = time.monotonic()
            print(f"{done} of {len(wanted)} inputs, {table.wrong} wrong, {shown - begin:.0f} s", flush=True)
    print(table)
    print(f"{len(wanted)} inputs in {time.monotonic() - begin:.0f} s, {table.wrong} did not end as documented")
    if table.wrong:
        print(f"they are in {BUILD.relative_to(ROOT)}, each with the command that runs it again")
    return 1 if table.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
