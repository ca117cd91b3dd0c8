"""Play random programs at Non-secure EL2, and print what became of each: ``python tier_random.py FIRST LAST``.

Its tests compare the lines of two processes, one for each tier.
"""

import hashlib
import importlib.util
import sys
from pathlib import Path

from cca_platform.engine import library

PROGRAMS = Path(__file__).parents[1] / "guests" / "test_guests_ns_random.py"


def main() -> None:
    """A line for the tier, and one for each seed."""
    spec = importlib.util.spec_from_file_location("programs", PROGRAMS)
    assert spec is not None and spec.loader is not None
    programs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(programs)
    victim = programs.Victim()
    print(library.tier(), flush=True)
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        end, clock, registers = victim.play(seed)
        memory = victim.machine.memory
        state = hashlib.sha256(repr(registers).encode())
        for page, dirty in enumerate(memory.dirty.tobytes()):
            if dirty:
                state.update(memory.backdoor.read(memory.page_address(page), 4096))
        print(seed, clock, state.hexdigest(), end.replace("\n", " "), flush=True)
    victim.machine.close()


main()
