"""The chain of trust: only certified images reach DRAM, and each leaves a measurement."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca_arch.types import Pas
from cca_firmware.base.errors import BootError
from cca_firmware.base.images import (
    BL2,
    BL31,
    BL32,
    BL33,
    CCA_CERTIFICATE,
    NS_CERTIFICATE,
    RMM,
    SECURE_CERTIFICATE,
    ImageType,
)
from cca_firmware.package.package import VERSION, Package, package
from cca_firmware.trusted_boot.fip import Fip
from cca_firmware.trusted_boot.fip import build as build_fip
from cca_firmware.trusted_boot.loader import Loader
from cca_platform.board import Board
from cca_platform.memory.memory import Memory
from cca_platform.trace.trace import Trace

PACKAGE = package(b"the RMM image" * 20, b"the NS image" * 20)
PLACES = {BL2: (0xFFC8_0000, Pas.ROOT), BL31: (0xFFC0_0000, Pas.ROOT), RMM: (0xFDC0_0000, Pas.REALM),
          BL33: (0x8800_0000, Pas.NON_SECURE)}  # fmt: skip
CERTIFIED = (*PLACES, NS_CERTIFICATE, CCA_CERTIFICATE)


def load_all(memory: Memory, fip: bytes, root_digest: bytes) -> Loader:
    loader = Loader(memory, Trace(), fip, root_digest)
    for kind, (pa, pas) in PLACES.items():
        loader.load(kind, pa, 0x8_0000, pas)
    return loader


def damaged(kind: ImageType, position: int) -> bytes:
    """The package with one bit of one byte of an image flipped; a negative position counts from its end."""
    entry = Fip(PACKAGE.fip).entries[kind.uuid]
    data = bytearray(PACKAGE.fip)
    data[entry.offset + position % entry.size] ^= 0x10
    return bytes(data)


def without(kind: ImageType) -> bytes:
    package = Fip(PACKAGE.fip)
    kept = {uuid: package.get(uuid) or b"" for uuid in package.entries if uuid != kind.uuid}
    return build_fip(kept)


@pytest.fixture
def memory() -> Memory:
    return Memory(Board.load("fvp"))


class TestLoad:
    def test_images_in_place(self, memory: Memory) -> None:
        """Every image is in DRAM, byte for byte."""
        load_all(memory, *PACKAGE)
        package = Fip(PACKAGE.fip)
        for kind, (pa, _) in PLACES.items():
            image = package.get(kind.uuid)
            assert image is not None
            assert memory.backdoor.read(pa, len(image)) == image

    def test_event_log(self, memory: Memory) -> None:
        """The event log has name, version, algorithm, digest and signer of each image, in the order of loading."""
        log = load_all(memory, *PACKAGE).event_log
        package = Fip(PACKAGE.fip)
        assert [entry.name for entry in log] == ["BL2", "BL31", "RMM", "BL33"]
        for entry, kind in zip(log, PLACES, strict=True):
            image = package.get(kind.uuid) or b""
            assert (entry.algorithm, entry.digest) == ("sha-256", sha256(image).digest())
            assert (entry.version, entry.size, len(entry.signer_id)) == (VERSION, len(image), 32)

    def test_measurement_is_of_the_code(self) -> None:
        """Other RMM bytes, another measurement and another root of trust; the same bytes, the same package."""
        other = package(b"another RMM", b"the NS image" * 20)
        assert other.root_digest != PACKAGE.root_digest
        same = package(b"the RMM image" * 20, b"the NS image" * 20)
        assert (same.fip, same.root_digest) == (PACKAGE.fip, PACKAGE.root_digest)


class TestTamper:
    @pytest.mark.parametrize("kind", CERTIFIED, ids=lambda kind: kind.name)
    @pytest.mark.parametrize("position", [0, 33, -1])
    def test_flipped_bit(self, memory: Memory, kind: ImageType, position: int) -> None:
        """One flipped bit in any image or certificate stops the boot, and the message names both hashes."""
        with pytest.raises(BootError, match=rf"^{kind.label} must hash to [0-9a-f]{{64}}, not [0-9a-f]{{64}}$"):
            load_all(memory, damaged(kind, position), PACKAGE.root_digest)

    def test_nothing_reaches_dram(self, memory: Memory) -> None:
        """A damaged image is refused before its first byte is copied."""
        with pytest.raises(BootError):
            load_all(memory, damaged(RMM, 5), PACKAGE.root_digest)
        assert memory.backdoor.read(PLACES[RMM][0], 64) == bytes(64)

    @pytest.mark.parametrize("kind", CERTIFIED, ids=lambda kind: kind.name)
    def test_missing(self, memory: Memory, kind: ImageType) -> None:
        """A package without an image is refused by its name."""
        with pytest.raises(BootError, match=f"FIP must hold the {kind.label}"):
            load_all(memory, without(kind), PACKAGE.root_digest)

    def test_every_byte_of_the_toc(self, memory: Memory) -> None:
        """No byte of the table of contents can change unnoticed."""
        toc = min(entry.offset for entry in Fip(PACKAGE.fip).entries.values())
        for position in range(toc):
            data = bytearray(PACKAGE.fip)
            data[position] ^= 0x01
            with pytest.raises(BootError):
                load_all(memory, bytes(data), PACKAGE.root_digest)

    @settings(max_examples=50)
    @given(st.integers(0, len(PACKAGE.fip) - 1))
    def test_truncated(self, length: int) -> None:
        """A package that ends early is refused, wherever it ends."""
        with pytest.raises(BootError):
            Loader(MEMORY, Trace(), PACKAGE.fip[:length], PACKAGE.root_digest)

    def test_other_root_of_trust(self, memory: Memory) -> None:
        """A package that is whole, but not the one that BL1 was made for, does not boot."""
        other: Package = package(b"an evil RMM", b"the NS image" * 20)
        with pytest.raises(BootError, match=r"CCA content certificate must hash to"):
            load_all(memory, other.fip, PACKAGE.root_digest)

    def test_swapped_images(self, memory: Memory) -> None:
        """An image that is certified for one purpose cannot serve another."""
        package = Fip(PACKAGE.fip)
        swapped = {uuid: package.get(uuid) or b"" for uuid in package.entries}
        swapped[RMM.uuid], swapped[BL33.uuid] = swapped[BL33.uuid], swapped[RMM.uuid]
        with pytest.raises(BootError, match="RMM image must hash to"):
            load_all(memory, build_fip(swapped), PACKAGE.root_digest)

    def test_too_big(self, memory: Memory) -> None:
        """An image that does not fit its place is refused."""
        loader = Loader(memory, Trace(), *PACKAGE)
        with pytest.raises(BootError, match="RMM image must fit 0x10 bytes at 0xfdc00000, not take 0x104"):
            loader.load(RMM, 0xFDC0_0000, 0x10, Pas.REALM)


class TestSecurePayload:
    SECURE = package(b"the RMM image" * 20, b"the NS image" * 20, secure=b"the Secure payload" * 20)

    def test_in_the_chain(self, memory: Memory) -> None:
        """BL32 has a certificate of its own, which the CCA certificate vouches for."""
        loader = Loader(memory, Trace(), *self.SECURE)
        assert loader.holds(BL32)
        loader.load(BL32, 0xFC00_0000, 0x1000, Pas.SECURE)
        assert memory.backdoor.read(0xFC00_0000, 18) == b"the Secure payload"
        assert loader.event_log[0].name == "BL32"

    def test_optional(self, memory: Memory) -> None:
        """A package without one is whole, and another root of trust."""
        loader = Loader(memory, Trace(), *PACKAGE)
        assert not loader.holds(BL32)
        assert self.SECURE.root_digest != PACKAGE.root_digest
        with pytest.raises(BootError, match="BL32 image must be named by a content certificate"):
            loader.load(BL32, 0xFC00_0000, 0x1000, Pas.SECURE)

    @pytest.mark.parametrize("kind", [BL32, SECURE_CERTIFICATE], ids=lambda kind: kind.name)
    @pytest.mark.parametrize("position", [0, 33, -1])
    def test_flipped_bit(self, memory: Memory, kind: ImageType, position: int) -> None:
        """One flipped bit in it or in its certificate stops the boot."""
        entry = Fip(self.SECURE.fip).entries[kind.uuid]
        data = bytearray(self.SECURE.fip)
        data[entry.offset + position % entry.size] ^= 0x10
        with pytest.raises(BootError, match=f"^{kind.label} must hash to"):
            Loader(memory, Trace(), bytes(data), self.SECURE.root_digest).load(BL32, 0xFC00_0000, 0x1000, Pas.SECURE)


MEMORY = Memory(Board.load("fvp"))
