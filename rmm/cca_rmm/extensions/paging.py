"""The extension ``paging``: the Host takes pages of a Realm out, sealed, and brings them back to any granule.

PAGE_OUT encrypts a page with AES-256-GCM and leaves its entry SEALED, with the page's version. The Host keeps the
ciphertext and its tag wherever it likes. PAGE_IN takes back what decrypts, which is only what went out last at that IPA
of that Realm in that boot:

- the key is the Realm's own: ``HKDF(boot key, "Realmlab page key 1" + serial)``. A Realm gets its serial when its first
  page goes out, and no two Realms of a boot have the same. It goes with the RD;
- the version is the Realm's count of pages that went out. It is the nonce, so that no nonce is used twice, and the
  entry's, so that nothing but the last sealing of the page fits. It needs no memory: the entry has room for it;
- the IPA and the version are authenticated with the page.

While it is out, the page keeps its RIPAS, which the Realm can change; the contents stay those that went out.
"""

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cca_arch.cose import hkdf
from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import VERSION_BITS, Kind
from cca_arch.extensions import PAGING, Paging, PagingFeatures
from cca_arch.rmi.v1_0 import RmiStatus
from cca_arch.types import GRANULE_SIZE
from cca_platform.trace.events import PageIn, PageOut
from cca_rmm.base.command import Call, Check, Command, Refusal, Result, loaded, table
from cca_rmm.base.version import Extension
from cca_rmm.commands.calls import read_ns
from cca_rmm.commands.conditions import RD, REALM_ERROR, RTT, granule
from cca_rmm.commands.data import IPA, DataCall
from cca_rmm.costs import SEAL_PAGE, spend
from cca_rmm.extensions.keys import BOOT, KEY_SIZE, KEYS, fetch_boot_key
from cca_rmm.objects.granule import State, moves
from cca_rmm.objects.words import Layout

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from cca_rmm.base.core import Core

__all__ = ["EXTENSION", "PAGES", "PAGES_OFFSET", "Pages"]

PAGES_OFFSET: Final = 0x400
"""Of Pages in the RD granule."""
_LABEL: Final = b"Realmlab page key 1"
_LEVEL: Final = rtte.PAGE_LEVEL
_LAST: Final = (1 << VERSION_BITS) - 1
_BOUND: Final = struct.Struct("<2Q")  # IPA and version
_TAG: Final = struct.Struct("<2Q")
_NONCE_SIZE: Final = 12
_KNOWN: Final = 64  # ciphers that are kept


class Pages(NamedTuple):
    """What the RMM knows of a Realm's pages that are out, one word per field."""

    serial: int  # 0: none has gone out yet
    version: int  # of the page that went out last


PAGES: Final = Layout(Pages)


class FeaturesCall(Call):
    """PAGING_FEATURES."""

    index: int


class PageCall(DataCall):
    """A command about a page of a Realm."""

    rd: int
    ipa: int

    @loaded
    def pages(self) -> Pages:
        """The Realm's pages that are out."""
        return PAGES.load(self.rmm.port, self.rd + PAGES_OFFSET)


class OutCall(PageCall):
    """PAGE_OUT."""

    rd: int
    ipa: int
    dst: int


class InCall(PageCall):
    """PAGE_IN."""

    rd: int
    data: int
    ipa: int
    src: int
    tag0: int
    tag1: int

    @loaded
    def sealed(self) -> bytes | None:
        """The Host's page, or None if it cannot be read."""
        return read_ns(self.rmm, self.src)

    @loaded
    def content(self) -> bytes | None:
        """The page, or None if it is not what went out last."""
        from cryptography.exceptions import InvalidTag

        assert self.sealed is not None
        nonce, bound = _bind(self.ipa, rtte.version(self.w.entry))
        try:
            return cipher(self.rmm, self.pages.serial).decrypt(
                nonce, self.sealed + _TAG.pack(self.tag0, self.tag1), bound
            )
        except InvalidTag:
            return None


# -- sealing ----------------------------------------------------------------------------------------------------------
def cipher(rmm: "Core", serial: int) -> "AESGCM":
    """What encrypts the pages of a Realm."""
    return _cipher(rmm.port.read(rmm.extension_key_area + BOOT, KEY_SIZE), serial)


@lru_cache(maxsize=_KNOWN)
def _cipher(boot_key: bytes, serial: int) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hkdf(boot_key, _LABEL + serial.to_bytes(8, "little"), KEY_SIZE))


def _bind(ipa: int, version: int) -> tuple[bytes, bytes]:
    """The nonce, and what is authenticated with a page."""
    return version.to_bytes(_NONCE_SIZE, "little"), _BOUND.pack(ipa, version)


def _serial(rmm: "Core") -> int:
    """A serial that no Realm of this boot has had."""
    area = rmm.extension_key_area
    serial = KEYS.load(rmm.port, area).serial + 1
    KEYS.write(rmm.port, area, serial=serial)
    return serial


# -- commands ---------------------------------------------------------------------------------------------------------
def features(call: FeaturesCall) -> Result:
    """What the extension can do; every other index reads as zero."""
    return 0, int(PagingFeatures.make(aes_256_gcm=1, version_bits=VERSION_BITS)) if call.index == 0 else 0


NO_KEY: Final = Refusal("boot_key")
"""EL3 refuses the key of this boot."""


def page_out(call: OutCall) -> Result | Refusal:
    """Unmap the page, from every TLB, too; then seal it and give its granule back."""
    rmm, pe, w, ipa = call.rmm, call.pe, call.w, call.ipa
    if not fetch_boot_key(rmm, pe):
        return NO_KEY
    port, data = rmm.port, rtte.address(w.entry)
    serial, version = call.pages.serial or _serial(rmm), call.pages.version + 1
    PAGES.create(port, call.rd + PAGES_OFFSET, Pages(serial, version))
    call.edit(ipa, w, rtte.sealed(rtte.ripas(w.entry), version))
    if rtte.valid(w.entry):
        call.invalidate(ipa, _LEVEL)
    nonce, bound = _bind(ipa, version)
    box = cipher(rmm, serial).encrypt(nonce, port.read(data, GRANULE_SIZE), bound)
    spend(pe.clock, SEAL_PAGE)
    rmm.ns.write(call.dst, box[:GRANULE_SIZE])
    rmm.granules.release(pe, data, "PAGE_OUT")
    if rmm.trace.on:
        rmm.trace.emit(PageOut(rd=call.rd, ipa=ipa, pa=data, version=version, dst=call.dst), pe)
    return 0, data, *_TAG.unpack(box[GRANULE_SIZE:]), version


def page_in(call: InCall) -> Result:
    """Map the page at the granule given, with the RIPAS that it has now."""
    rmm, pe, w, content = call.rmm, call.pe, call.w, call.content
    assert content is not None
    spend(pe.clock, SEAL_PAGE)
    rmm.port.write(call.data, content)
    rmm.granules.move(pe, call.data, "PAGE_IN")
    call.edit(call.ipa, w, rtte.assigned(rtte.ripas(w.entry), call.data, _LEVEL))
    if rmm.trace.on:
        rmm.trace.emit(PageIn(rd=call.rd, ipa=call.ipa, pa=call.data, version=rtte.version(w.entry), src=call.src), pe)
    return (0,)


def kind(call: PageCall) -> Kind:
    """What is at the page."""
    return rtte.kind_of(call.w.entry, call.w.level)


def w_level(call: PageCall) -> int:
    """The level at which the walk stopped: the index of RMI_ERROR_RTT."""
    return call.w.level


_WALK: Final[Check[PageCall]] = Check("rtt_walk", lambda c: c.w.level < _LEVEL, RTT, w_level)

COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[FeaturesCall](Paging.PAGING_FEATURES, "PAGING_FEATURES", FeaturesCall, features, outs=("value",)),
    Command[OutCall](
        Paging.PAGE_OUT, "PAGE_OUT", OutCall, page_out, outs=("data", "tag0", "tag1", "version"),
        checks=(
            *granule("dst", State.UNDELEGATED, last="pas"),
            *RD,
            *IPA,
            _WALK,
            Check("rtte_state", lambda c: kind(c) != Kind.ASSIGNED, RTT, w_level),
            Check("version_bound", lambda c: c.pages.version == _LAST, REALM_ERROR),
            Check("dst_pas_access", lambda c: read_ns(c.rmm, c.dst) is None),
        ),
        refusals=(NO_KEY,),
    ),
    Command[InCall](
        Paging.PAGE_IN, "PAGE_IN", InCall, page_in,
        checks=(
            *granule("src", State.UNDELEGATED, last="pas"),
            *granule("data", State.DELEGATED),
            *RD,
            *IPA,
            Check("data_bound2", lambda c: not rtte.fits(c.data)),
            _WALK,
            Check("rtte_state", lambda c: kind(c) != Kind.SEALED, RTT, w_level),
            Check("src_pas_access", lambda c: c.sealed is None),
            Check("page_auth", lambda c: c.content is None, RmiStatus.ERROR_INPUT),
        ),
    ),
)  # fmt: skip

EXTENSION: Final = Extension(
    name=PAGING,
    commands=table(COMMANDS),
    opening=frozenset({int(Paging.PAGING_FEATURES)}),
    moves=moves({(State.DATA, "PAGE_OUT"): State.DELEGATED, (State.DELEGATED, "PAGE_IN"): State.DATA}),
)
