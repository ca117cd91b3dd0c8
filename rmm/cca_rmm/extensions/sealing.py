"""The extension ``sealing``: keys that a Realm gets on this platform and nobody else, now and in its next life.

A key is ``HKDF-SHA384(root, "Realmlab sealing key 1" + info)``, 32 bytes, without a salt. ``root`` comes from EL3.
``info`` is, all words little-endian: the flags, the label and the Realm's hash algorithm, 8 bytes each; the RIM, 64
bytes; then, for each flag that is set, in the order of its bits: the RPV, a REM (64 bytes each), the lifecycle (8), the
digest of the platform's images (32).

The RIM is always in: the Host chooses the RPV and REMs begin as zero, so that a key without the RIM would be any
Realm's. The flags are in, so that two choices never have the same key.
"""

import struct
from typing import Any, Final

from cca_arch.cose import hkdf
from cca_arch.extensions import SEALING, SEALING_UID, Sealing, SealingFeatures, SealingFlags, uid_words
from cca_arch.rsi.v1_0 import RsiStatus
from cca_rmm.base.command import Check, Command, Refusal, Result, table
from cca_rmm.base.version import Extension
from cca_rmm.commands.calls import ServiceCall
from cca_rmm.costs import SEALING_KEY, spend
from cca_rmm.extensions.keys import IMAGES, KEY_SIZE, KEYS, ROOT, fetch_root
from cca_rmm.objects import measurement
from cca_rmm.objects.realm import REM_COUNT, RPV_OFFSET, SLOT

__all__ = ["EXTENSION"]

_LABEL: Final = b"Realmlab sealing key 1"
_HEAD: Final = struct.Struct("<3Q")
_RPV, _LIFECYCLE, _IMAGES = SealingFlags.rpv.mask, SealingFlags.lifecycle.mask, SealingFlags.images.mask
_REMS: Final = tuple(getattr(SealingFlags, f"rem{number}").mask for number in range(REM_COUNT))
_RIM: Final = SealingFlags.rim.mask
_FLAGS: Final = _RIM | _RPV | sum(_REMS) | _LIFECYCLE | _IMAGES
_KEY: Final = struct.Struct("<4Q")


class FeaturesCall(ServiceCall):
    """SEALING_FEATURES."""

    index: int


class KeyCall(ServiceCall):
    """SEALING_KEY."""

    flags: int
    label: int


def uid(call: ServiceCall) -> Result:
    """W0 to W3: the UID of the range."""
    return uid_words(SEALING_UID)


def features(call: FeaturesCall) -> Result:
    """What the extension can do; every other index reads as zero."""
    return 0, int(SealingFeatures.make(hkdf_sha_384=1)) if call.index == 0 else 0


NO_ROOT: Final = Refusal("other", RsiStatus.ERROR_UNKNOWN)
"""EL3 refuses the root of sealing keys."""


def sealing_key(call: KeyCall) -> Result | Refusal:
    """Derive the key."""
    rmm = call.rmm
    if not fetch_root(rmm, call.pe):
        return NO_ROOT
    port, area, rd, flags = rmm.port, rmm.extension_key_area, call.record.rd, call.flags
    parts = [_HEAD.pack(flags, call.label, call.realm.hash_algo), measurement.load(port, rd, 0)]
    if flags & _RPV:
        parts.append(port.read(rd + RPV_OFFSET, SLOT))
    parts += [measurement.load(port, rd, 1 + number) for number, rem in enumerate(_REMS) if flags & rem]
    if flags & _LIFECYCLE:
        parts.append(KEYS.load(port, area).lifecycle.to_bytes(8, "little"))
    if flags & _IMAGES:
        parts.append(port.read(area + IMAGES, KEY_SIZE))
    spend(call.pe.clock, SEALING_KEY)
    return 0, *_KEY.unpack(hkdf(port.read(area + ROOT, KEY_SIZE), _LABEL + b"".join(parts), KEY_SIZE))


COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[ServiceCall](Sealing.SEALING_UID, "SEALING_UID", ServiceCall, uid, ("w1", "w2", "w3")),
    Command[FeaturesCall](Sealing.SEALING_FEATURES, "SEALING_FEATURES", FeaturesCall, features, ("value",)),
    Command[KeyCall](
        Sealing.SEALING_KEY, "SEALING_KEY", KeyCall, sealing_key, tuple(f"key{word}" for word in range(4)),
        (
            Check("flags_valid", lambda c: c.flags & ~_FLAGS, RsiStatus.ERROR_INPUT),
            Check("flags_rim", lambda c: not c.flags & _RIM, RsiStatus.ERROR_INPUT),
        ),
        (NO_ROOT,),
    ),
)  # fmt: skip

EXTENSION: Final = Extension(name=SEALING, services=table(COMMANDS))
