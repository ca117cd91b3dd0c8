"""The image package and its certificates: what is written is read back, and every damage is refused."""

import struct
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca_firmware.base.errors import BootError
from cca_firmware.base.pieces import Pieces
from cca_firmware.trusted_boot import fip
from cca_firmware.trusted_boot.certificates import CERTIFICATE, Certificate, CertifiedImage
from cca_firmware.trusted_boot.fip import Fip

A, B = b"A" * 16, b"B" * 16
PACKAGE = bytes(fip.build({A: b"first image", B: b"second"}))


def patched(offset: int, value: bytes) -> bytes:
    return PACKAGE[:offset] + value + PACKAGE[offset + len(value) :]


class TestPackage:
    @given(st.dictionaries(st.binary(min_size=16, max_size=16).filter(any), st.binary(max_size=200), max_size=6))
    def test_round_trip(self, images: dict[bytes, bytes]) -> None:
        """A package gives back every image that it was built of, and no other."""
        built = fip.build(images)
        for package in (Fip(built), Fip(bytes(built))):
            assert {uuid: package.get(uuid) for uuid in package.entries} == images

    @given(st.lists(st.binary(max_size=9), min_size=1), st.integers(0, 60), st.integers(0, 60))
    def test_pieces(self, pieces: list[bytes], start: int, stop: int) -> None:
        """A package that is not copied together is the one that is; a whole image of it is the image itself."""
        joined, made = b"".join(pieces), Pieces(pieces)
        assert (len(made), bytes(made), made[start:stop]) == (len(joined), joined, joined[start:stop])
        at = 0
        for piece in pieces:
            assert len(piece) < 2 or made[at : at + len(piece)] is piece
            at += len(piece)

    def test_layout(self) -> None:
        """Header, entries of 40 bytes, a null entry with the end of the package: TF-A's format."""
        assert struct.unpack_from("<IIQ", PACKAGE) == (0xAA640001, 0x12345678, 0)
        assert struct.unpack_from("<16sQQQ", PACKAGE, 16) == (A, 136, 11, 0)
        assert struct.unpack_from("<16sQQQ", PACKAGE, 96) == (bytes(16), len(PACKAGE), 0, 0)

    def test_absent(self) -> None:
        """An UUID that the package does not hold gives None."""
        assert Fip(PACKAGE).get(b"C" * 16) is None

    @pytest.mark.parametrize(
        ("package", "message"),
        [
            (b"", "must hold a ToC header of 16 bytes, not 0 bytes"),
            (patched(0, b"\0"), "ToC header must be 0xaa640001 0x12345678 0x0, not 0xaa640000"),
            (patched(8, b"\1"), "ToC header must be"),
            (patched(48, b"\1"), "must have flags 0, not 0x1"),
            (patched(56, A), "once, not twice"),
            (patched(40, b"\xff"), "must end inside the package"),
            (PACKAGE[:100], "must end with a null entry|must end inside the package"),
            (PACKAGE[:-1], "must end inside the package|bytes long"),
            (PACKAGE + b"\0", "must be .* bytes long as its ToC says"),
        ],
    )
    def test_malformed(self, package: bytes, message: str) -> None:
        """A package that is not well formed is refused as a whole, with the reason."""
        with pytest.raises(BootError, match=message):
            Fip(package)

    @given(st.binary(max_size=300))
    @settings(max_examples=300)
    def test_any_bytes(self, data: bytes) -> None:
        """Bytes that are no package are refused with BootError and nothing else."""
        with pytest.raises(BootError):
            Fip(data)
        with pytest.raises(BootError):
            Fip(PACKAGE[:16] + data)


class TestCertificate:
    ROW = CertifiedImage(A, "1.2.3", 11, sha256(b"first image").digest())

    def test_round_trip(self) -> None:
        """A certificate says what it was made to say."""
        certificate = Certificate((self.ROW, self.ROW._replace(uuid=B)), nv_counter=7)
        assert Certificate.parse(certificate.pack()) == certificate
        assert certificate.find(A) == self.ROW
        assert certificate.find(b"C" * 16) is None

    @pytest.mark.parametrize(
        ("offset", "value", "message"),
        [
            (0, 0, "must have magic"),
            (4, 9, "format 1 and no signature, not .* 9"),
            (12, 2, "a content certificate of 2 images must not have 136 bytes"),
            (48, 1, "signature algorithm 1"),
        ],
    )
    def test_malformed(self, offset: int, value: int, message: str) -> None:
        """Another format, an image count that does not fit and an unknown signature are refused."""
        data = bytearray(Certificate((self.ROW,)).pack())
        struct.pack_into("<I", data, offset, value)
        with pytest.raises(BootError, match=message):
            Certificate.parse(bytes(data))

    def test_short(self) -> None:
        """A certificate has a whole header."""
        with pytest.raises(BootError, match=f"must have {CERTIFICATE.size} bytes or more, not 3"):
            Certificate.parse(b"RLC")
