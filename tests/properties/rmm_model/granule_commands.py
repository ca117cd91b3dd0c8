"""RMI_VERSION, RMI_FEATURES, RMI_GRANULE_DELEGATE and _UNDELEGATE."""

from rmm_model.facts import Granule, Status
from rmm_model.rules import Call, Command, Rule, fails, granule

__all__ = ["COMMANDS"]

REVISION = 0x1_0000


def _delegate(call: Call) -> tuple[int, ...]:
    call.model.move(call.addr, Granule.DELEGATED)
    return ()


def _undelegate(call: Call) -> tuple[int, ...]:
    call.model.move(call.addr, Granule.UNDELEGATED)
    return ()


def _features(call: Call) -> tuple[int, ...]:
    return (call.model.platform.features if call.index == 0 else 0,)


COMMANDS = (
    Command(
        "VERSION",
        0xC400_0150,
        ("req",),
        (Rule("req", lambda call: call.req != REVISION, fails(Status.INPUT, 0, REVISION, REVISION)),),
        lambda call: (REVISION, REVISION),
    ),
    Command("FEATURES", 0xC400_0165, ("index",), (), _features),
    Command(
        "GRANULE_DELEGATE",
        0xC400_0151,
        ("addr",),
        (
            *granule("addr", Granule.UNDELEGATED, prefix="gran"),
            Rule("gran_gpt", lambda call: call.addr in call.model.foreign, fails(Status.INPUT), "gran_*"),
        ),
        _delegate,
    ),
    Command(
        "GRANULE_UNDELEGATE",
        0xC400_0152,
        ("addr",),
        granule("addr", Granule.DELEGATED, prefix="gran"),
        _undelegate,
    ),
)
