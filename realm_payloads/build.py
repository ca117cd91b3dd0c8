"""Build the payloads with ziglang: `python realm_payloads/build.py [--check] [NAME ...]`.

The ELF files in `bin/` are committed, so that running a payload needs no compiler. The build is reproducible:
relative paths, a fixed flag list, no debug information; `--check` builds into a temporary folder and compares bytes.
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

__all__ = ["PAYLOADS", "Payload", "build", "differences"]

HERE = Path(__file__).resolve().parent
BIN = HERE / "bin"
RUNTIME = ("realm/runtime/start.S", "realm/runtime/trap.c", "realm/runtime/mmu.c", "realm/runtime/rsi.c",
           "realm/runtime/console.c", "realm/runtime/fdt.c", "common/string.c", "realm/runtime/cpu.c",
           "common/sha256.c", "realm/runtime/check.c")  # fmt: skip
CFLAGS = (
    "-target", "aarch64-freestanding-none",
    # Armv8.0, what the default PE (Cortex-A72) has; for the assembler: SMC, TTBR0_EL2. C code uses no SIMD registers:
    # handlers of interrupts and aborts do not keep them.
    "-mcpu=generic+el3+el2vmsa-neon-fp_armv8", "-mstrict-align", "-mno-outline-atomics",
    "-O2", "-std=c11", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-fno-pic", "-fno-pie",
    "-ffunction-sections", "-fdata-sections", "-fno-sanitize=all", "-fno-asynchronous-unwind-tables",
    "-g0", "-Wall", "-Wextra", "-Werror", "-I.", "-Icommon",
)  # fmt: skip
LDFLAGS = ("-m", "aarch64elf", "-nostdlib", "-static", "--no-pie", "--gc-sections", "--build-id=none", "--strip-debug",
           "-z", "max-page-size=16", "-z", "norelro", "-z", "nognustack", "--no-eh-frame-hdr")  # fmt: skip

NS_BASES = {"fvp": 0x8800_0000, "virt": 0x4800_0000}
RMI = ("lib/probe.S", "lib/call.S", "lib/check.c", "lib/mmu.c", "lib/gic.c", "rmi/rmi.c", "rmi/build.c", "rmi/run.c",
       "rmi/smp.c", "lib/rmi_host.c", "rmi/guest.c")  # fmt: skip

SECURE = ("secure/start.S", "secure/mmu.c", "secure/print.c", "secure/secure.c", "common/string.c",
          "common/sha256.c")  # fmt: skip

SECURE_CALL = ("lib/vectors.S", "lib/call.S", "lib/check.c", "lib/mmu.c", "lib/pe.c", "lib/gic.c", "lib/timer.c",
               "secure_call/secure_call.c")  # fmt: skip

BOARD = ("lib/vectors.S", "lib/call.S", "lib/check.c", "lib/mmu.c", "lib/pe.c", "lib/gic.c", "lib/timer.c",
         "board/board.c", "board/mmu.c", "board/pes.c", "board/gic.c", "board/timers.c", "board/vm.c",
         "board/vm_interrupts.c", "board/realm.c", "board/realms.c", "board/devices.c", "board/lives.c",
         "board/guest.c")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Payload:
    """The sources of one ELF file, relative to this folder, and the linker script of its world.

    ``board`` is the board of an NS payload, whose addresses are in the code.
    """

    sources: tuple[str, ...]
    script: str
    board: str | None = None

    @property
    def cflags(self) -> tuple[str, ...]:
        """Flags of the compiler that are this payload's own."""
        library = {"realm/realm.ld": ("-Irealm/runtime",), "ns/ns.ld": ("-Ins/lib",)}.get(self.script, ())
        return library if self.board is None else (*library, f"-DBOARD_{self.board}")

    @property
    def ldflags(self) -> tuple[str, ...]:
        """Flags of the linker that are this payload's own."""
        return () if self.board is None else (f"--defsym=NS_BASE={NS_BASES[self.board]:#x}",)


def _realm(*sources: str) -> Payload:
    """A Realm payload: its own sources on the common runtime."""
    return Payload((*RUNTIME, *(f"realm/{name}" for name in sources)), "realm/realm.ld")


def _ns(*sources: str, board: str = "fvp") -> Payload:
    """A payload at Non-secure EL2 of a board."""
    return Payload(("ns/lib/start.S", "ns/lib/print.c", *(f"ns/{source}" for source in sources)), "ns/ns.ld", board)


def _secure(board: str = "fvp") -> Payload:
    """The payload at S-EL1 of a board."""
    return Payload(SECURE, "secure/secure.ld", board)


PAYLOADS: dict[str, Payload] = {
    "hello": _realm("hello.c"),
    "uart": _realm("uart.c"),
    "el0": _realm("el0/el0.c", "el0/user.c"),
    "rsi": _realm("rsi.c"),
    "attest": _realm("attest.c"),
    "faults": _realm("faults.c"),
    "destroyed": _realm("destroyed.c"),
    "compute": _realm("compute.c"),
    "memory": _realm("memory.c"),
    "spin": _realm("spin.c"),
    "idle": _realm("idle.c"),
    "stackoverflow": _realm("stackoverflow.c"),
    "jump": _realm("jump.c"),
    "lost": Payload(("realm/lost.S",), "realm/realm.ld"),
    "selfmod": _realm("selfmod.c"),
    "smcstorm": _realm("smcstorm.c"),
    "smp": _realm("smp.c"),
    "irq": _realm("irq.c"),
    "crosscode": _realm("crosscode.c"),
    "ns_rmi": _ns("lib/probe.S", "ns_rmi.c"),
    "ns_gpf": _ns("lib/probe.S", "ns_gpf.c"),
    "ns_enter": _ns("lib/call.S", "lib/probe.S", "lib/check.c", "lib/rmi_host.c", "ns_enter.c"),
    "rmi": _ns(*RMI),
    "rmi_virt": _ns(*RMI, board="virt"),
    "secure": _secure(),
    "secure_virt": _secure("virt"),
    "secure_call": _ns(*SECURE_CALL),
    "secure_call_virt": _ns(*SECURE_CALL, board="virt"),
    "board": _ns(*BOARD, "board/watchdog.c"),
    "board_virt": _ns(*BOARD, board="virt"),
}


def _zig(*arguments: str | Path) -> None:
    """Run a tool of ziglang here; its messages go to our stderr."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
    command = [sys.executable, "-m", "ziglang", *map(str, arguments)]
    subprocess.run(command, cwd=HERE, env=environment, check=True, stdout=subprocess.DEVNULL)


def build(names: Sequence[str], output: Path) -> None:
    """Compile and link the named payloads to `output/NAME.elf`; CalledProcessError when a tool fails."""
    with tempfile.TemporaryDirectory() as folder:
        objects: dict[tuple[str, tuple[str, ...]], Path] = {}
        for payload in (PAYLOADS[name] for name in names):
            for source in payload.sources:
                if (source, payload.cflags) not in objects:
                    stem = f"{len(objects)}_{Path(source).with_suffix('.o').as_posix().replace('/', '_')}"
                    objects[source, payload.cflags] = Path(folder) / stem
                    _zig("cc", *CFLAGS, *payload.cflags, "-c", source, "-o", objects[source, payload.cflags])
        for name in names:
            payload = PAYLOADS[name]
            inputs = [objects[source, payload.cflags] for source in payload.sources]
            file = output / f"{name}.elf"
            _zig("ld.lld", *LDFLAGS, *payload.ldflags, "-T", payload.script, "-o", file, *inputs)
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
    except subprocess.CalledProcessError as error:
        print(f"{error.cmd[-3]} does not build", file=sys.stderr)
        return 1
    for name in stale:
        print(f"realm_payloads/bin/{name}.elf is not what its sources give; run `make payloads`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
