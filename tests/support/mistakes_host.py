"""Beginners' mistakes of software at Non-secure EL2 that drives the RMI, and of Secure payloads."""

from collections.abc import Mapping

from mistakes import FOREVER, OFF, Command, Mistake, ns, secure
from ns_code import ENTRY
from realm_code import load, smc
from rmm_host import PAGE, RAM

from cca_arch.rmi.v1_0 import RecCreateFlags, Rmi, RmiDataFlags, RmiRealmParams, RmiRecParams

__all__ = ["HOST", "STEPS", "host"]

_POOL = 0x9000_0000
_RD, _RTT, _LEVEL_2, _LEVEL_3, _DATA, _REC, _AUX, _AUX_1, _MORE = (_POOL + PAGE * number for number in range(9))
_CODE, _REALM_PARAMS, _REC_PARAMS, _RUN = (ENTRY + 0x10_0000 * number for number in range(1, 5))

STEPS = {
    **{f"delegate {pa:#x}": (Rmi.GRANULE_DELEGATE, pa) for pa in range(_RD, _MORE, PAGE)},
    "realm": (Rmi.REALM_CREATE, _RD, _REALM_PARAMS),
    "level 2": (Rmi.RTT_CREATE, _RD, _LEVEL_2, RAM, 2),
    "level 3": (Rmi.RTT_CREATE, _RD, _LEVEL_3, RAM, 3),
    "ripas": (Rmi.RTT_INIT_RIPAS, _RD, RAM, RAM + 2 * PAGE),
    "data": (Rmi.DATA_CREATE, _RD, _DATA, RAM, _CODE, RmiDataFlags.measure.mask),
    "rec": (Rmi.REC_CREATE, _RD, _REC, _REC_PARAMS),
    "activate": (Rmi.REALM_ACTIVATE, _RD),
    "enter": (Rmi.REC_ENTER, _REC, _RUN),
}
"""The calls that build a Realm and enter it, in order."""


def host(
    last: str = "enter",
    without: str = "",
    then: tuple[tuple[int, ...], ...] = (),
    end: str = FOREVER,
    runnable: bool = True,
) -> Command:
    """Software that makes the calls up to ``last``, one left out, ``then`` others; it looks at no result."""
    names = tuple(STEPS)
    calls = [STEPS[name] for name in names[: names.index(last) + 1] if name != without]
    source = "; ".join(smc(*call) for call in (*calls, *then))
    aux = (_AUX, _AUX_1, *(0 for _ in range(14)))
    flags = RecCreateFlags.runnable.mask * runnable
    realm = {"s2sz": 33, "rtt_base": _RTT, "rtt_level_start": 1, "rtt_num_start": 1, "vmid": 1}
    pages: Mapping[int, str | bytes] = {
        _CODE: OFF,
        _REALM_PARAMS: RmiRealmParams.pack(**realm, num_bps=5, num_wps=3),
        _REC_PARAMS: RmiRecParams.pack(flags=flags, pc=RAM, mpidr=0, num_aux=2, aux=aux),
        _RUN: bytes(PAGE),
    }
    return ns(f"{source}; {end}", pages=pages)


HOST = (
    Mistake(
        "rd-not-delegated",
        "gave RMI_REALM_CREATE an RD that is not delegated",
        host("realm", f"delegate {_RD:#x}"),
        (r"REALM_CREATE", r"delegat|\bstate\b|_state|\bRD\b|\brd\b"),
    ),
    Mistake(
        "parameters-delegated",
        "put the parameters of the Realm into a granule that was delegated",
        host(f"delegate {_AUX_1:#x}", then=((Rmi.REALM_CREATE, _RD, _LEVEL_2),)),
        (r"REALM_CREATE", r"param", r"delegat|Non-secure|\bNS\b|\bPAS\b|_pas\b|granule protection"),
    ),
    Mistake(
        "delegated-granule-touched",
        "wrote to a granule after it was delegated",
        host(f"delegate {_RD:#x}", end=f"{load('x1', _RD)}; str x0, [x1]; {OFF}"),
        (r"granule protection|\bGPF\b|delegated", r"0x90000000"),
    ),
    Mistake(
        "enter-before-activate",
        "entered a REC of a Realm that is still NEW",
        host(without="activate"),
        (r"REC_ENTER", r"\bNEW\b|ACTIV|activat|_state|Realm is"),
    ),
    Mistake(
        "data-after-activate",
        "created a data page in an active Realm",
        host("activate", then=((Rmi.GRANULE_DELEGATE, _MORE), (Rmi.DATA_CREATE, _RD, _MORE, RAM + PAGE, _CODE, 1))),
        (r"DATA_CREATE", r"\bNEW\b|ACTIV|activat"),
    ),
    Mistake(
        "table-missing",
        "created the table of level 3 before that of level 2",
        host("level 3", without="level 2"),
        (r"RTT_CREATE", r"ERROR_RTT|level|walk|table"),
    ),
    Mistake(
        "live-realm-destroyed",
        "destroyed a Realm before its RECs and tables",
        host("activate", then=((Rmi.REALM_DESTROY, _RD),)),
        (r"REALM_DESTROY", r"live|still|has (a |its )?(REC|RTT|table)|\bREC|RTT|\bDATA|_live"),
    ),
    Mistake(
        "not-runnable",
        "entered a REC that was created without the flag runnable",
        host(runnable=False),
        (r"REC_ENTER", r"runnable|\boff\b|CPU_ON"),
    ),
    Mistake(
        "uart-of-another-board",
        "printed to the UART of QEMU's virt on the board fvp",
        ns(f"{load('x1', 0x0900_0000)}; mov w0, #65; str w0, [x1]; {FOREVER}"),
        (r"0x0?9000000", r"no device|nothing|no UART|not (a )?device"),
    ),
    Mistake(
        "secure-never-ready",
        "wrote a Secure payload that does not tell EL3 that it is ready",
        secure(FOREVER),
        (r"secure", r"ENTRY_DONE|ready|boot|start|BL32"),
    ),
)
