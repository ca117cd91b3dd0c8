"""The initial RAM disk: what is accepted, where it goes, what the kernel is told of it, and the seeds beside it."""

import bz2
import gzip
import lzma
from hashlib import sha256
from pathlib import Path
from typing import Any

import fdt
import pytest
from ns_code import OFF, assemble, constant

import realmlab
from cca_host.kvmtool import RunOptions
from cca_host.kvmtool.build import make_tree
from cca_host.kvmtool.initrd import check_initrd, load_initrd
from cca_host.kvmtool.layout import RAM_BASE, UART_BASE, dtb_base
from cca_host.kvmtool.loader import Image, LoadError, Segment
from cca_platform.errors import MachineError

MEMORY = 8 << 20
IMAGE = Image("raw", RAM_BASE, [Segment(RAM_BASE, b"code", 0x1_0001)])


def entry(name: str, data: bytes = b"") -> bytes:
    """A file of a cpio archive in the newc format."""
    named = name.encode() + b"\0"
    numbers = (1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(named), 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + named
    return padded(head) + padded(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


ARCHIVE = entry("init", b"#!/bin/sh\nexec sh\n") + entry("empty") + entry("TRAILER!!!") + bytes(300)
SECOND = entry("more", bytes(5000)) + entry("TRAILER!!!")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "initrd"


class TestContents:
    """What is no initrd is refused; what only a kernel can tell is not."""

    @pytest.mark.parametrize(
        "data",
        [
            ARCHIVE, ARCHIVE + SECOND, ARCHIVE + bytes(0x3004) + gzip.compress(SECOND, mtime=0), SECOND + bytes(7),
            lzma.compress(SECOND), lzma.compress(SECOND, lzma.FORMAT_ALONE), bz2.compress(SECOND),
            gzip.compress(SECOND, mtime=0) * 2, b"\x89LZO\x00\r\n\x1a\n", b"\x02\x21\x4c\x18 lz4", bytes(100),
            bytes(0x400) + b"a file system",
        ],
    )  # fmt: skip
    def test_accepted(self, data: bytes) -> None:
        """Archives, several one after another, compressed ones, the image of a file system."""
        check_initrd(data, "x")

    @pytest.mark.parametrize("cut", [6, 50, 110, 112, 118, 130])
    def test_truncated(self, cut: int) -> None:
        """An archive that ends within a file, or within what is compressed."""
        with pytest.raises(LoadError, match=r"^initrd x is a truncated cpio archive: copy it again$"):
            check_initrd(ARCHIVE + entry("init", bytes(20))[:cut], "x")

    @pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
    def test_packed(self, pack: Any) -> None:
        """The same for what is compressed."""
        packed = pack(SECOND)
        with pytest.raises(LoadError, match=r"^initrd x is a truncated archive compressed with .*: copy it again$"):
            check_initrd(SECOND + packed[:-9], "x")
        with pytest.raises(LoadError, match=r"^initrd x is a damaged archive compressed with .*: copy it again$"):
            check_initrd(packed[:30] + bytes(20) + packed[50:], "x")

    def test_damaged(self) -> None:
        """A header without numbers."""
        with pytest.raises(LoadError, match=r"^initrd x is a damaged cpio archive: build or copy it again$"):
            check_initrd(b"070701" + b"?" * 200, "x")

    def test_empty(self, file: Path) -> None:
        """Nothing is no initrd."""
        file.touch()
        with pytest.raises(LoadError, match=r"is empty: give a cpio archive"):
            load_initrd(file, MEMORY, IMAGE)


class TestPlace:
    """As high as possible below the device tree."""

    def test_place(self, file: Path) -> None:
        """It begins at a page, and ends in the last page before the device tree."""
        file.write_bytes(SECOND)
        found = load_initrd(file, MEMORY, IMAGE)
        assert (found.base, found.data) == (dtb_base(MEMORY) - 0x2000, SECOND)

    def test_too_large(self, file: Path) -> None:
        """It must not overlap the image; the message says how much memory is enough."""
        room = dtb_base(MEMORY) - RAM_BASE - 0x1_1000
        file.write_bytes(bytes(room))
        assert load_initrd(file, MEMORY, IMAGE).base == RAM_BASE + 0x1_1000
        file.write_bytes(bytes(room + 1))
        with pytest.raises(LoadError, match=r"must fit between the end of the image at 0x80010001 .*give `memory` 10M"):
            load_initrd(file, MEMORY, IMAGE)
        assert load_initrd(file, 10 << 20, IMAGE).base > RAM_BASE

    def test_unreadable(self, file: Path) -> None:
        """A file that is not there."""
        with pytest.raises(MachineError, match=r"initrd .* does not exist: check the path"):
            load_initrd(file, MEMORY, IMAGE)


class TestTree:
    """What ``chosen`` says."""

    def test_range(self) -> None:
        """The kernel gets its first byte and the one behind the last."""
        options = RunOptions(payload="x", memory=MEMORY)
        chosen = fdt.parse_dtb(make_tree(options, [], Segment(0x1_8000_1000, b"", 0x123))).get_node("/chosen")
        assert chosen.get_property("linux,initrd-start").data == [1, 0x8000_1000]
        assert chosen.get_property("linux,initrd-end").data == [1, 0x8000_1123]

    def test_seeds(self) -> None:
        """Seeds for KASLR and the kernel's random numbers are SHA-256 of their name and the option's number."""
        for seed in (0, 7):
            tree = make_tree(RunOptions(payload="x", memory=MEMORY, seed=seed), [])
            assert sha256(f"realmlab kaslr-seed {seed}".encode()).digest()[:8] in tree
            assert sha256(f"realmlab rng-seed {seed}".encode()).digest() in tree
        assert not fdt.parse_dtb(tree).get_node("/chosen").exist_property("linux,initrd-start")


READS = f"""
    {constant("x1", UART_BASE | 1 << 32)} {constant("x2", dtb_base(MEMORY) - 0x1000)}
    ldrb w3, [x2]; strb w3, [x1]; ldrb w3, [x2, #1]; strb w3, [x1]; {OFF}
"""


class TestRealm:
    """A Realm with an initrd."""

    def test_measured(self, file: Path, tmp_path: Path) -> None:
        """It is in memory, and in the initial measurement, as are the seeds."""
        payload = tmp_path / "payload"
        payload.write_bytes(assemble(READS, RAM_BASE))
        seen = []
        with realmlab.Machine() as machine:
            for data, seed in ((b"ab", 0), (b"ab", 0), (b"xy", 0), (b"xy", 1)):
                file.write_bytes(data)
                with machine.realm(payload, memory=MEMORY, initrd=file, seed=seed) as realm:
                    rim = realm.facts.rim
                    realm.run()
                    assert realm.console == data
                seen.append(rim)
        assert seen[0] == seen[1]
        assert len(set(seen)) == 3
