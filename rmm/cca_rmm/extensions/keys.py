"""The keys of the extensions in the RMM's own page: what EL3 gives once, and what tells Realms apart."""

from typing import TYPE_CHECKING, Final, NamedTuple

from cca_arch.extensions import VendorEl3
from cca_arch.types import GRANULE_SIZE
from cca_rmm.commands.calls import el3_call
from cca_rmm.objects.words import Layout

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_rmm.base.core import Core

__all__ = ["BOOT", "IMAGES", "KEYS", "KEY_SIZE", "ROOT", "Keys", "fetch_boot_key", "fetch_root"]

KEY_SIZE: Final = 32
ROOT: Final = 0x40
"""Offsets in the page, after Keys: the root of sealing keys, the digest of the platform's images, the boot's key."""
IMAGES: Final = 0x60
BOOT: Final = 0x80


class Keys(NamedTuple):
    """The header of the page, one word per field."""

    root: int  # 1: ROOT, IMAGES and ``lifecycle`` are there
    boot: int  # 1: BOOT is there
    lifecycle: int
    serial: int  # Realms whose pages have gone out in this boot


KEYS: Final = Layout(Keys)


def fetch_root(rmm: "Core", pe: "Pe") -> bool:
    """Get the root of sealing keys from EL3 unless it is there; returns False if EL3 refuses."""
    area = rmm.extension_key_area
    if KEYS.load(rmm.port, area).root:
        return True
    content, lifecycle = _from_el3(rmm, pe, VendorEl3.GET_SEALING_ROOT, 2 * KEY_SIZE)
    if content:
        rmm.port.write(area + ROOT, content)
        KEYS.write(rmm.port, area, root=1, lifecycle=lifecycle)
    return bool(content)


def fetch_boot_key(rmm: "Core", pe: "Pe") -> bool:
    """Get the key of this boot from EL3 unless it is there; returns False if EL3 refuses."""
    area = rmm.extension_key_area
    if KEYS.load(rmm.port, area).boot:
        return True
    content, _ = _from_el3(rmm, pe, VendorEl3.GET_BOOT_KEY, KEY_SIZE)
    if content:
        rmm.port.write(area + BOOT, content)
        KEYS.write(rmm.port, area, boot=1)
    return bool(content)


def _from_el3(rmm: "Core", pe: "Pe", fid: VendorEl3, size: int) -> tuple[bytes, int]:
    """What EL3 puts into the shared page, which is cleared, and X2; no bytes if it refuses."""
    page = rmm.shared_page
    status, given, more, *_ = el3_call(pe, fid, page, GRANULE_SIZE)
    if status or given != size:
        return b"", 0
    content = rmm.port.read(page, size)
    rmm.port.zero(page, GRANULE_SIZE)
    return content, more
