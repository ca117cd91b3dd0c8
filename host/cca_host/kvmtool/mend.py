"""A program, not a module: reads an ELF from stdin and writes it to stdout with headers made anew.

It runs in a process of its own (:mod:`cca_host.kvmtool.repair`), with limits, because lief reads foreign files in C++:
a file may make it take any amount of memory, or abort. Exit status 3: no ELF that lief understands.
"""

import resource
import sys

MEMORY = 1 << 30
SECONDS = 60
NO_ELF = 3


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def main() -> int:
    """Mend stdin."""
    _limit(resource.RLIMIT_AS, MEMORY)
    _limit(resource.RLIMIT_CPU, SECONDS)
    _limit(resource.RLIMIT_CORE, 0)
    import lief

    lief.logging.disable()
    binary = lief.ELF.parse(list(sys.stdin.buffer.read()))
    if binary is None:
        return NO_ELF
    sys.stdout.buffer.write(bytes(binary.write_to_bytes()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
