"""The places where the loops of guest code run: Non-secure EL2, a Realm, Unicorn alone, QEMU."""

import os
import resource
import shutil
import struct
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from cca_tools.bench.guest import BARE, NS, QEMU, REALM, GuestLoop
from cca_tools.bench.took import Took, Watch

__all__ = ["Bare", "NsEl2", "Qemu", "Realm"]

_PARAMETERS: Final = struct.Struct("<5Q")  # which loop, how many turns, a device's register, more of it, how many PEs
_OFFSET: Final = 8  # of the parameters, from the start of the payload
_FLAG: Final = 0x18  # UARTFR, which a read does not change
_NOTHING: Final = (0, 0)
_SHARED: Final = 1 << 32  # an IPA of the Host's half of a Realm
_ENOUGH: Final = 0.1  # seconds of work in a run
_MORE: Final = 0.3  # for QEMU, whose start is in it


def _payload(name: str, loop: GuestLoop, turns: int, region: tuple[int, int]) -> bytes:
    """The ELF file of a payload, told what to do."""
    import io

    from elftools.elf.elffile import ELFFile

    from realmlab.payloads import find_payload

    data = bytearray(find_payload(name).read_bytes())
    segment = next(one for one in ELFFile(io.BytesIO(data)).iter_segments() if one["p_type"] == "PT_LOAD")
    _PARAMETERS.pack_into(data, segment["p_offset"] + _OFFSET, loop.number, turns, *region, loop.pes)
    return bytes(data)


def _on_virt(loop: GuestLoop, turns: int) -> bytes:
    """The payload for the board `virt`, ours or QEMU's: both have the same devices."""
    from cca_platform.board import Board

    board = Board.load("virt")
    region = _NOTHING
    if loop.region == "uart":
        region = next(row.base for row in board.devices if row.name == "uart0") + _FLAG, 0
    elif loop.region == "gic":
        region = board.gic.distributor, board.gic.redistributors
    elif loop.region == "protected":
        region = next(row.base for row in board.regions if row.name == "root"), 0
    return _payload("ns_guest_code_virt", loop, turns, region)


class NsEl2:
    """Real code at Non-secure EL2."""

    name = NS
    enough = _ENOUGH

    def run(self, loop: GuestLoop, turns: int) -> Took:
        """A run of so many turns, without the boot."""
        from cca_firmware.boot import boot
        from cca_firmware.package.nsimage import NsImage
        from cca_platform.board import Board
        from cca_platform.machine.machine import Machine as Platform
        from cca_rmm.rmm import Rmm

        with closing(Platform(Board.load("virt"))) as platform:
            boot(platform, rmm=Rmm(platform), ns_images=[NsImage(_on_virt(loop, turns))])
            watch = Watch()
            platform.run()
            return watch.took()


class Realm:
    """A Realm, run by the Host in Python."""

    name = REALM
    enough = _ENOUGH

    def run(self, loop: GuestLoop, turns: int) -> Took:
        """A run of so many turns, with the build of the Realm."""
        from realmlab.machine import Machine

        with tempfile.TemporaryDirectory() as folder, Machine() as machine:
            file = Path(folder) / "guest_code.elf"
            file.write_bytes(_payload("guest_code", loop, turns, _in_realm(loop)))
            watch = Watch()
            result = machine.run_realm(file, vcpus=loop.pes)
            took = watch.took()
        if result.status:
            raise RuntimeError(result.message)
        return took


def _in_realm(loop: GuestLoop) -> tuple[int, int]:
    if loop.region != "gic":
        return _NOTHING
    from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, redistributor_base

    return DISTRIBUTOR_BASE | _SHARED, redistributor_base(loop.pes) | _SHARED


class Bare:
    """A Unicorn without hooks."""

    name = BARE
    enough = _ENOUGH

    def run(self, loop: GuestLoop, turns: int) -> Took:
        """A run of so many turns."""
        from cca_tools.bench import bare

        return bare.run_elf(_payload("guest_code", loop, turns, _NOTHING))


class Qemu:
    """QEMU's plain ``virt`` board with EL2, in one thread as we are, and its version."""

    name = QEMU
    enough = _MORE

    def __init__(self, name: str = "qemu-system-aarch64") -> None:
        """The program ``name``, a path or one of PATH; FileNotFoundError without it."""
        found = shutil.which(name)
        if found is None:
            raise FileNotFoundError(name)
        self.path = found
        told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = told.splitlines()[0].removeprefix("QEMU emulator version ")

    def run(self, loop: GuestLoop, turns: int) -> Took:
        """A whole run of so many turns."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "guest_code.elf"
            file.write_bytes(_on_virt(loop, turns))
            command = [
                self.path, "-machine", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72", "-m", "512",
                "-smp", str(loop.pes), "-accel", "tcg,thread=single", "-nic", "none", "-display", "none", "-serial",
                "none", "-monitor", "none", "-kernel", os.fspath(file),
            ]  # fmt: skip
            before, watch = resource.getrusage(resource.RUSAGE_CHILDREN), Watch()
            subprocess.run(command, check=True, timeout=120, capture_output=True)
            wall, after = watch.took().wall, resource.getrusage(resource.RUSAGE_CHILDREN)
        return Took(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)
