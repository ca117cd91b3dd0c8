"""RMI_VERSION, RMI_FEATURES and the granule commands."""

from typing import Final

from cca_arch.el3 import RmmEl3, RmmEl3Status
from cca_arch.rmi.v1_0 import ABI_VERSION, Rmi
from cca_arch.types import GRANULE_SIZE
from cca_rmm.command import Call, Check, Command, Result, granule
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


def el3_refuses_delegate(call: Call) -> bool:
    """Ask EL3, last of all: it changes the GPT entry unless that is not NS, and then nothing has happened."""
    return bool(call.pe.smc(RmmEl3.GTSI_DELEGATE, call.addr)[0] != RmmEl3Status.OK)


def granule_delegate(call: Call) -> Result:
    """The granule is in the Realm PAS by now: scrub it and take it."""
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
        checks=(*granule("addr", State.UNDELEGATED, "gran"), Check("gran_gpt", el3_refuses_delegate)),
    ),
    Command(
        Rmi.GRANULE_UNDELEGATE, "GRANULE_UNDELEGATE", granule_undelegate, ins=("addr",),
        checks=granule("addr", State.DELEGATED, "gran"),
    ),
)  # fmt: skip
