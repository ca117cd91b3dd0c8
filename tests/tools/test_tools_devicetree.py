"""`--dtb`: a device tree that Non-secure software finds by X0."""

from pathlib import Path

import fdt
import pytest
from ns_code import OFF, RESET, assemble, constant, say

import realmlab
from cca_arch.devicetree import Node, flatten
from cca_arch.psci import Psci
from cca_firmware.package.nsimage import NsImage
from cca_tools.cli import main
from realmlab.ns import NsMachine

BLOB = flatten(Node("", {"mine": 7}))
PLACE = 0x8000_0000
"""The start of the DRAM of fvp."""
HIGH = 0xFBE0_0000
"""The last multiple of 2 MiB below the firmware's memory."""
KEEP = f"{constant('x9', 0x9000_0000)} str x0, [x9]; ldr x1, [x0]; str x1, [x9, #8];"


def found(machine: NsMachine) -> tuple[int, bytes]:
    """What the code has found: X0, and the tree there."""
    memory = machine.memory.backdoor
    at = memory.read64(0x9000_0000)
    return at, memory.read(at, int.from_bytes(memory.read(at + 4, 4)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my.dtb"
    path.write_bytes(BLOB)
    return path


class TestFound:
    def test_auto(self) -> None:
        """X0 points to a tree of the board, at the start of the DRAM of the image."""
        with NsMachine(NsImage(assemble(KEEP + OFF)), dtb="auto") as machine:
            assert machine.run().reason == "system_off"
            at, data = found(machine)
        assert at == PLACE
        assert fdt.parse_dtb(data).get_node("/cpus/cpu@100").get_property("enable-method").data == ["psci"]

    @pytest.mark.parametrize("el", [1, 2])
    def test_file(self, file: Path, el: int) -> None:
        """One from a file, at both levels; it is whole again after a reset."""
        again = f"{constant('x3', 0x9000_1000)} ldr w4, [x3]; add w4, w4, #1; str w4, [x3]; cmp w4, #2;"
        code = f"{KEEP} str xzr, [x0]; {again} b.eq done; {RESET} done: {OFF}"
        with NsMachine(NsImage(assemble(code)), el=el, dtb=file, nonvolatile=[(0x9000_1000, 0x1000)]) as machine:
            assert len(machine.run().resets) == 1
            assert machine.memory.backdoor.read(0x9000_0008, 8) == BLOB[:8]

    def test_others(self, file: Path) -> None:
        """A PE that CPU_ON starts finds its context ID, as always."""
        code = f"""
            {constant("x0", Psci.CPU_ON_64)} mov x1, #0x100; adr x2, second; mov x3, #0x77; smc #0; b .;
        second: {constant("x9", 0x9000_0000)} str x0, [x9]; {OFF}
        """
        with NsMachine(NsImage(assemble(code)), dtb=file) as machine:
            assert machine.run().reason == "system_off"
            assert machine.memory.backdoor.read64(0x9000_0000) == 0x77

    def test_none(self) -> None:
        """Without the option X0 is zero."""
        code = f"{constant('x9', 0x9000_0000)} add x0, x0, #1; str x0, [x9]; {OFF}"
        with NsMachine(NsImage(assemble(code))) as machine:
            machine.run()
            assert machine.memory.backdoor.read64(0x9000_0000) == 1

    def test_command(self, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The command line has it, too."""
        image = tmp_path / "image.bin"
        check = f"ldr w3, [x0]; {constant('x4', 0xEDFE0DD0)} cmp x3, x4; b.ne end;"
        image.write_bytes(assemble(f"{check} {say('tree')} end: {OFF}"))
        for option in (str(file), "auto"):
            assert main(["run", "--world", "ns-el2", str(image), "-q", "--dtb", option]) == 0
            assert capfd.readouterr().out == "tree"


class TestPlace:
    """It lies beside the images and what is nonvolatile, aligned to 2 MiB, where QEMU has it or else high."""

    @pytest.mark.parametrize(
        ("image", "nonvolatile", "place"),
        [
            (None, [], PLACE),
            (NsImage(b"data", PLACE + 0x20), [], HIGH),
            (NsImage(b"data", PLACE + len(BLOB)), [], PLACE),
            (NsImage(b"data", HIGH + 0x20), [(PLACE, 0x1000)], HIGH - (2 << 20)),
            (NsImage(b"data", HIGH + len(BLOB)), [(PLACE, 0x1000)], HIGH),
            (NsImage(b"data", PLACE), [(HIGH, 0x1000)], HIGH - (2 << 20)),
            (NsImage(b"data", 0x8_8000_0000), [], PLACE),
        ],
    )
    def test_free(self, file: Path, image: NsImage | None, nonvolatile: list[tuple[int, int]], place: int) -> None:
        """Where nothing else is."""
        images = [NsImage(assemble(KEEP + OFF)), *([] if image is None else [image])]
        with NsMachine(images, dtb=file, nonvolatile=nonvolatile) as machine:
            machine.run()
            assert found(machine) == (place, BLOB)

    def test_second_bank(self, file: Path) -> None:
        """In the DRAM that the entry point is in."""
        code = assemble(KEEP + OFF)
        for address, place in ((0x8_9000_0000, 0x8_8000_0000), (0x8_8000_0000, 0x8_FFE0_0000)):
            with NsMachine(NsImage(code, address), dtb=file) as machine:
                machine.run()
                assert found(machine) == (place, BLOB)

    def test_full(self, file: Path) -> None:
        """If the images leave no room, the boot says so."""
        kept = [(0x8_8000_1000, 0x7FFF_F000)]
        message = r"my\.dtb, \d+ B, must fit into 0x880000000\.\.0x8ffffffff beside the images"
        with pytest.raises(realmlab.MachineError, match=message):
            NsMachine(NsImage(assemble(OFF), 0x8_8000_0000), dtb=file, nonvolatile=kept)


class TestRefused:
    def test_files(self, tmp_path: Path) -> None:
        """No file, no device tree, a part of one, too large a one."""
        path = tmp_path / "bad.dtb"
        image = NsImage(assemble(OFF))
        with pytest.raises(realmlab.MachineError, match=r"`dtb` .*bad\.dtb does not exist: check the path"):
            NsMachine(image, dtb=path)
        large = flatten(Node("", {"large": bytes(2 << 20)}))
        bad = ((b"/dts-v1/;", "begins with d00dfeed"), (BLOB[:-4], "header names"), (large, "more than 2 MiB"))
        for data, message in bad:
            path.write_bytes(data)
            with pytest.raises(realmlab.MachineError, match=rf"bad\.dtb .*{message}"):
                NsMachine(image, dtb=path)
