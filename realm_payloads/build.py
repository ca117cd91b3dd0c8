"""Build the payloads with ziglang: `python realm_payloads/build.py [--check] [NAME ...]`.

The ELF files in `bin/` are committed, so running a payload needs no compiler. The build is reproducible: relative
paths, fixed flags, no debug information. `--check` builds into a temporary folder and compares bytes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realmlab.projects.compilers import ZIG
from realmlab.projects.worlds import SDK, WORLDS
from realmlab.projects.worlds import World as WorldName

__all__ = ["PAYLOADS", "BuildError", "Payload", "World", "build", "differences"]

HERE = Path(__file__).resolve().parent
BIN = HERE / "bin"
_SDK = Path(os.path.relpath(SDK, HERE)).as_posix()
CFLAGS = (*ZIG.cflags, *ZIG.no_fp, "-g0", "-Werror", "-I.")
LDFLAGS = (*ZIG.ldflags, "--strip-debug")


@dataclass(frozen=True, slots=True)
class World:
    """A world of the SDK; a bare payload takes its linker script alone."""

    name: WorldName
    bare: bool = False

    @property
    def script(self) -> str:
        """The linker script."""
        return f"{_SDK}/{WORLDS[self.name].script}"

    @property
    def sources(self) -> tuple[str, ...]:
        """What is in every payload of this world."""
        return () if self.bare else tuple(f"{_SDK}/{name}" for name in WORLDS[self.name].base)


@dataclass(frozen=True, slots=True)
class Payload:
    """One ELF file: its world, its own source file or folder of sources, and the files that it takes from the SDK.

    The own path is relative to this folder, those of ``library`` to the world's folder in the SDK. ``board`` is set for
    code that knows the addresses of a board.
    """

    world: World
    own: str
    library: tuple[str, ...] = ()
    board: str | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """All source files, in the order of the linker: the world's, the library's, and the payload's own by name."""
        own = HERE / self.own
        files = sorted(file for file in own.iterdir() if file.suffix in {".c", ".S"}) if own.is_dir() else [own]
        library = (f"{_SDK}/{WORLDS[self.world.name].folder}/{name}" for name in self.library)
        return (*self.world.sources, *library, *(file.relative_to(HERE).as_posix() for file in files))

    @property
    def cflags(self) -> tuple[str, ...]:
        """The compiler's flags for this world and board."""
        include = tuple(f"-I{_SDK}/{folder}" for folder in WORLDS[self.world.name].includes)
        return include if self.board is None else (*include, f"-DBOARD_{self.board}")

    @property
    def ldflags(self) -> tuple[str, ...]:
        """The linker's flags for this world and board."""
        base = () if self.board is None else WORLDS[self.world.name].link_flags(self.board)
        return (*base, "-T", self.world.script)


REALM = World("realm")
BARE_REALM = World("realm", bare=True)
NS = World("ns")
BARE_NS = World("ns", bare=True)
SECURE = World("secure")

_SUITES = ("vectors.S", "call.S", "check.c", "mmu.c", "pe.c", "gic.c", "timer.c")
_SECURE = ("mmu.c", "start.S")


def _both(name: str, world: World, own: str, *library: str) -> dict[str, Payload]:
    """A payload for each board: NAME for `fvp`, NAME_virt for `virt`."""
    return {name: Payload(world, own, library, "fvp"), f"{name}_virt": Payload(world, own, library, "virt")}


PAYLOADS: dict[str, Payload] = {
    "hello": Payload(REALM, "realm/hello.c"),
    "uart": Payload(REALM, "realm/uart.c"),
    "el0": Payload(REALM, "realm/el0"),
    "rsi": Payload(REALM, "realm/rsi.c"),
    "attest": Payload(REALM, "realm/attest.c", ("token.c",)),
    "sealing": Payload(REALM, "realm/sealing.c"),
    "virtio": Payload(REALM, "realm/virtio.c", ("share.c",)),
    "faults": Payload(REALM, "realm/faults.c"),
    "destroyed": Payload(REALM, "realm/destroyed.c"),
    "compute": Payload(REALM, "realm/compute.c"),
    "memory": Payload(REALM, "realm/memory.c"),
    "spin": Payload(REALM, "realm/spin.c"),
    "idle": Payload(REALM, "realm/idle.c"),
    "stackoverflow": Payload(REALM, "realm/stackoverflow.c"),
    "jump": Payload(REALM, "realm/jump.c"),
    "lost": Payload(BARE_REALM, "realm/lost.S"),
    "selfmod": Payload(REALM, "realm/selfmod.c"),
    "smcstorm": Payload(REALM, "realm/smcstorm.c"),
    "smp": Payload(REALM, "realm/smp.c"),
    "irq": Payload(REALM, "realm/irq.c", ("gic.c",)),
    "pmu": Payload(REALM, "realm/pmu.c", ("gic.c",)),
    "crosscode": Payload(REALM, "realm/crosscode.c"),
    "guest_code": Payload(BARE_REALM, "bench/guest_code"),
    **_both("ns_guest_code", BARE_NS, "bench/guest_code"),
    "ns_rmi": Payload(NS, "ns/ns_rmi.c", ("probe.S",), "fvp"),
    "ns_gpf": Payload(NS, "ns/ns_gpf.c", ("probe.S",), "fvp"),
    "ns_enter": Payload(NS, "ns/ns_enter.c", ("call.S", "probe.S", "check.c", "rmi_host.c"), "fvp"),
    **_both("rmi", NS, "ns/rmi", "probe.S", "call.S", "check.c", "mmu.c", "gic.c", "guest_program.c", "rmi_host.c"),
    **_both("secure", SECURE, "secure", *_SECURE),
    **_both("secure_call", NS, "ns/secure_call", *_SUITES),
    **_both("board", NS, "ns/board", *_SUITES, "guest_program.c"),
}


class BuildError(Exception):
    """A tool failed; its messages are on stderr, and this one says what it worked on."""


def _zig(what: str, *arguments: str | Path) -> None:
    """Run a tool of ziglang here on `what`; its messages go to our stderr."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
    command = [sys.executable, "-m", "ziglang", *map(str, arguments)]
    if subprocess.run(command, cwd=HERE, env=environment, check=False, stdout=subprocess.DEVNULL).returncode:
        raise BuildError(f"{what} does not build")


def build(names: Sequence[str], output: Path) -> None:
    """Compile and link the named payloads to `output/NAME.elf`; BuildError when a tool fails."""
    with tempfile.TemporaryDirectory() as folder:
        objects: dict[tuple[str, tuple[str, ...]], Path] = {}
        for payload in (PAYLOADS[name] for name in names):
            for source in payload.sources:
                if (source, payload.cflags) not in objects:
                    stem = f"{len(objects)}_{Path(source).with_suffix('.o').as_posix().replace('/', '_')}"
                    objects[source, payload.cflags] = Path(folder) / stem
                    _zig(source, "cc", *CFLAGS, *payload.cflags, "-c", source, "-o", objects[source, payload.cflags])
        for name in names:
            payload = PAYLOADS[name]
            inputs = [objects[source, payload.cflags] for source in payload.sources]
            file = output / f"{name}.elf"
            _zig(f"{name}.elf", "ld.lld", *LDFLAGS, *payload.ldflags, "-o", file, *inputs)
            file.chmod(0o644)


def differences(names: Sequence[str]) -> list[str]:
    """The payloads whose committed bytes are not what the sources give."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        build(names, output)
        return [
            name
            for name in names
            if not (committed := BIN / f"{name}.elf").is_file()
            or committed.read_bytes() != (output / f"{name}.elf").read_bytes()
        ]


def main() -> int:
    """The command line; exit status 1 when a committed payload is not current, 2 for a name that does not exist."""
    parser = argparse.ArgumentParser(description="Build the payloads of realm_payloads/ with ziglang.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="payloads to build (default: all)")
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of writing them")
    options = parser.parse_args()
    names = options.names or list(PAYLOADS)
    if unknown := [name for name in names if name not in PAYLOADS]:
        parser.error(f"payload must be one of {', '.join(PAYLOADS)}, not {', '.join(unknown)}")
    try:
        if not options.check:
            BIN.mkdir(exist_ok=True)
            build(names, BIN)
            return 0
        stale = differences(names)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    for name in stale:
        print(f"realm_payloads/bin/{name}.elf is not what its sources give; run `make payloads`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
