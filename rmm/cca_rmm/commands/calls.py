"""Calls that several commands share: the objects that they name, and the context derived from these."""

from typing import TYPE_CHECKING

from cca_arch.types import GRANULE_SIZE
from cca_platform.errors import BusError, GranuleProtectionFault
from cca_rmm.base.command import Call, loaded
from cca_rmm.objects import rtt
from cca_rmm.objects.realm import REALM, Realm
from cca_rmm.objects.rec import Rec
from cca_rmm.objects.rtt import Walk

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_rmm.base.core import Core

__all__ = ["RealmCall", "ServiceCall", "el3_call", "read_ns"]


class RealmCall(Call):
    """A command about the Realm whose RD it names."""

    rd: int

    @loaded
    def realm(self) -> Realm:
        """The Realm."""
        return REALM.load(self.rmm.port, self.rd)

    def edit(self, ipa: int, w: Walk, new: int) -> None:
        """Write the entry for ``ipa`` that a walk has found."""
        rmm = self.rmm
        rtt.edit(rmm.port, rmm.trace, self.pe, self.command.name, self.rd, ipa, w, new)

    def invalidate(self, ipa: int, level: int) -> None:
        """Invalidate the mappings of one entry of ``level`` at ``ipa`` in every TLB."""
        rtt.invalidate(self.rmm.machine, self.realm.vmid, ipa, level)


class ServiceCall(Call):
    """A call from a Realm."""

    @loaded
    def record(self) -> Rec:
        """The calling REC."""
        return self.rmm.running(self.pe)[1]

    @loaded
    def realm(self) -> Realm:
        """Its Realm."""
        return self.rmm.running(self.pe)[2]


def el3_call(pe: "Pe", fid: int, *args: int) -> list[int]:
    """An RMM-EL3 call that leaves the general registers alone, a Realm's or the Host's: X0..X4."""
    kept = bytes(pe.x)
    answer = pe.smc(fid, *args)
    pe.x[:] = memoryview(kept).cast("Q")
    return answer


def read_ns(rmm: "Core", pa: int, size: int = GRANULE_SIZE) -> bytes | None:
    """Read a Non-secure granule once; returns None if the access through the NS PAS faults."""
    try:
        return rmm.ns.read(pa, size)
    except (GranuleProtectionFault, BusError):
        return None
