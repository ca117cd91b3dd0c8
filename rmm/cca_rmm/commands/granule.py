"""RMI_VERSION, RMI_FEATURES and the granule commands."""

from typing import Any, Final

from cca_arch.el3 import RmmEl3, RmmEl3Status
from cca_arch.rmi.v1_0 import Rmi
from cca_rmm.base.command import Call, Check, Command, Refusal, Result
from cca_rmm.commands.conditions import granule
from cca_rmm.objects.granule import State

__all__ = ["COMMANDS"]


class VersionCall(Call):
    """RMI_VERSION."""

    req: int


class FeaturesCall(Call):
    """RMI_FEATURES."""

    index: int


class GranuleCall(Call):
    """A command about a granule of the Host."""

    addr: int


def version(call: VersionCall) -> Result:
    """Select the version that the Host requests."""
    call.rmm.choose(call.req)
    return 0, call.req, call.rmm.revisions[-1]


def features(call: FeaturesCall) -> Result:
    """Return a feature register of the version in force."""
    return 0, call.rmm.facts.offer.register(call.index)


_DELEGATE, _UNDELEGATE = int(RmmEl3.GTSI_DELEGATE), int(RmmEl3.GTSI_UNDELEGATE)
_OK: Final = int(RmmEl3Status.OK)
GRAN_GPT: Final = Refusal("gran_gpt")
"""The granule's GPT entry is not NS. Only EL3 knows; it refuses the change."""


def granule_delegate(call: GranuleCall) -> Result | Refusal:
    """Have EL3 move the granule to the Realm PAS, which it does only from NS; then scrub the granule."""
    pe, addr, granules = call.pe, call.addr, call.rmm.granules
    if pe.smc(_DELEGATE, addr)[0] != _OK:
        return GRAN_GPT
    granules.scrub(pe, addr)
    granules.move(pe, addr, "GRANULE_DELEGATE")
    return (0,)


def granule_undelegate(call: GranuleCall) -> Result:
    """Have EL3 move the granule to NS. A DELEGATED granule is zero, so no Realm data leaks."""
    status = call.pe.smc(_UNDELEGATE, call.addr)[0]
    assert status == _OK, f"EL3 must give granule {call.addr:#x} back to NS, not answer {status:#x}"
    call.rmm.granules.move(call.pe, call.addr, "GRANULE_UNDELEGATE")
    return (0,)


COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[VersionCall](
        Rmi.VERSION, "VERSION", VersionCall, version, outs=("lower", "higher"),
        checks=(
            Check("req", lambda c: c.req not in c.rmm.revisions, outputs=lambda c: c.rmm.revision_range(c.req)),
        ),
    ),
    Command[FeaturesCall](Rmi.FEATURES, "FEATURES", FeaturesCall, features, outs=("value",)),
    Command[GranuleCall](
        Rmi.GRANULE_DELEGATE, "GRANULE_DELEGATE", GranuleCall, granule_delegate,
        checks=granule("addr", State.UNDELEGATED, "gran"), refusals=(GRAN_GPT,),
    ),
    Command[GranuleCall](
        Rmi.GRANULE_UNDELEGATE, "GRANULE_UNDELEGATE", GranuleCall, granule_undelegate,
        checks=granule("addr", State.DELEGATED, "gran"),
    ),
)  # fmt: skip
