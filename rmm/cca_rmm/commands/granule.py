"""RMI_VERSION, RMI_FEATURES and the granule commands."""

from typing import Final

from cca_arch.el3 import RmmEl3, RmmEl3Status
from cca_arch.rmi.v1_0 import ABI_VERSION, Rmi
from cca_arch.types import GRANULE_SIZE
from cca_rmm.command import Call, Check, Command, Refusal, Result, granule
from cca_rmm.features import FEATURE_REGISTER_0
from cca_rmm.objects.granule import State

__all__ = ["COMMANDS"]

_FEATURES: Final = (0, int(FEATURE_REGISTER_0))


def version(call: Call) -> Result:
    """Both versions are the one that this RMM has."""
    return (0, ABI_VERSION, ABI_VERSION)


def features(call: Call) -> Result:
    """Registers other than 0 read as zero."""
    return _FEATURES if call.index == 0 else (0, 0)


GRAN_GPT: Final = Refusal("gran_gpt")
"""The granule's GPT entry is not NS: EL3 alone knows, and tells when it is asked to change it."""


def granule_delegate(call: Call) -> Result | Refusal:
    """EL3 moves the granule to the Realm PAS, if it is NS; then scrub it and take it."""
    if call.pe.smc(RmmEl3.GTSI_DELEGATE, call.addr)[0] != RmmEl3Status.OK:
        return GRAN_GPT
    call.rmm.port.zero(call.addr, GRANULE_SIZE)
    call.rmm.granules.move(call.pe, call.addr, "GRANULE_DELEGATE")
    return (0,)


def granule_undelegate(call: Call) -> Result:
    """A DELEGATED granule is all zero, so nothing of a Realm goes with it."""
    status = call.pe.smc(RmmEl3.GTSI_UNDELEGATE, call.addr)[0]
    assert status == RmmEl3Status.OK, f"EL3 must give granule {call.addr:#x} back to NS, not answer {status:#x}"
    call.rmm.granules.move(call.pe, call.addr, "GRANULE_UNDELEGATE")
    return (0,)


COMMANDS: Final = (
    Command(
        Rmi.VERSION, "VERSION", version, ins=("req",), outs=("lower", "higher"),
        checks=(Check("req", lambda c: c.req != ABI_VERSION, outputs=lambda c: (ABI_VERSION, ABI_VERSION)),),
    ),
    Command(Rmi.FEATURES, "FEATURES", features, ins=("index",), outs=("value",)),
    Command(
        Rmi.GRANULE_DELEGATE, "GRANULE_DELEGATE", granule_delegate, ins=("addr",),
        checks=granule("addr", State.UNDELEGATED, "gran"), refusals=(GRAN_GPT,),
    ),
    Command(
        Rmi.GRANULE_UNDELEGATE, "GRANULE_UNDELEGATE", granule_undelegate, ins=("addr",),
        checks=granule("addr", State.DELEGATED, "gran"),
    ),
)  # fmt: skip
