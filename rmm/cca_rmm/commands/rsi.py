"""RSI: what a Realm asks its RMM (DEN0137 "Realm Services Interface"), and SMCCC_VERSION."""

import struct
from typing import Final

from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import Kind
from cca_arch.rmi.v1_0 import ABI_VERSION, RecExitReason, RmiRipas
from cca_arch.rsi.v1_0 import Rsi, RsiHostCall, RsiRealmConfig, RsiRipasChangeFlags, RsiStatus
from cca_arch.smccc import Smccc
from cca_rmm.command import Call, Check, Command, Result
from cca_rmm.objects import measurement, rtt
from cca_rmm.objects.realm import REM_COUNT, RPV_OFFSET
from cca_rmm.world.run import leave, rtt_abort, walk_data
from cca_rmm.world.syndrome import fault_ipa

__all__ = ["ADDR_BOUND", "AT_ADDR", "COMMANDS", "PAGE_ALIGN", "RIPAS", "SMCCC_VERSION", "page"]

SMCCC_VERSION: Final = 0x10002
_INPUT: Final = RsiStatus.ERROR_INPUT
_VALUE_MAX: Final = 64
_GPRS: Final = RsiHostCall.offset("gprs")


def version(call: Call) -> Result:
    """Both versions are the one that this RMM has."""
    return 0, ABI_VERSION, ABI_VERSION


def features(call: Call) -> Result:
    """Version 1.0 defines no feature register."""
    return 0, 0


def smccc_version(call: Call) -> Result:
    """SMCCC 1.2."""
    return (SMCCC_VERSION,)


def measurement_read(call: Call) -> Result:
    """X1..X8: the 64-byte slot of the RIM (0) or of a REM (1..4)."""
    return 0, *struct.unpack("<8Q", measurement.load(call.rmm.port, call.rec_.rd, call.index))


def measurement_extend(call: Call) -> Result:
    """REM[index - 1] = hash of the REM and the first ``size`` bytes of X3..X10."""
    rmm, rd, realm = call.rmm, call.rec_.rd, call.realm
    value = call.pe.x[3:11].tobytes()[: call.size]
    rem = measurement.extend_rem(realm.hash_algo, measurement.load(rmm.port, rd, call.index), value)
    measurement.store(rmm.port, rmm.trace, call.pe, rd, realm, call.index, rem, "MEASUREMENT_EXTEND", content=value)
    return (0,)


def realm_config(call: Call) -> Result | None:
    """Write RsiRealmConfig; the rest of the page becomes zero."""
    target = page(call)
    if target is None:
        return None
    port, realm = call.rmm.port, call.realm
    rpv = port.read(call.rec_.rd + RPV_OFFSET, 64)
    port.write(target, RsiRealmConfig.pack(ipa_width=realm.s2sz, hash_algo=realm.hash_algo, rpv=rpv))
    return (0,)


def page(call: Call) -> int | None:
    """The PA of ``addr``; without one the REC exits as for a Data Abort, and the SMC is executed again."""
    target = walk_data(call.w, call.addr)
    if target is None:
        esr, hpfar = rtt_abort(call.w.level, call.addr)
        call.pe.elr -= 4
        leave(call.rmm, call.pe, RecExitReason.SYNC, esr=esr, hpfar=hpfar, ipa=fault_ipa(hpfar))
    return target


def ipa_state_set(call: Call) -> None:
    """Only the Host can change the RIPAS, by RMI_RTT_SET_RIPAS: the REC keeps the request and exits."""
    state = {
        "ripas_pending": 1,
        "ripas_addr": call.base,
        "ripas_top": call.top,
        "ripas_value": call.ripas,
        "ripas_destroyed": call.flags & RsiRipasChangeFlags.destroyed.mask,
    }
    leave(
        call.rmm, call.pe, RecExitReason.RIPAS_CHANGE, state=state, ipa=call.base,
        ripas_base=call.base, ripas_top=call.top, ripas_value=call.ripas,
    )  # fmt: skip


def ipa_state_get(call: Call) -> Result:
    """The RIPAS at ``base``, and where the run of equal RIPAS ends: at most ``top``, or the end of the one table."""
    w, port = call.w, call.rmm.port
    size, value = rtte.level_size(w.level), rtte.ripas(w.entry)
    end, index = (call.base & -size) + size, w.slot + 1
    while end < call.top and index < rtte.ENTRIES:
        entry = port.read64(w.table + 8 * index)
        if rtte.kind_of(entry, w.level) not in (Kind.UNASSIGNED, Kind.ASSIGNED) or rtte.ripas(entry) != value:
            break
        end += size
        index += 1
    return 0, min(end, call.top), value


def host_call(call: Call) -> None:
    """The Host sees the structure's imm and gprs, and answers in enter.gprs."""
    target = page(call)
    if target is None:
        return
    record = call.rmm.port.read(target, RsiHostCall.size)
    state = {"host_call": 1, "host_call_ipa": call.addr}
    imm = int.from_bytes(record[:2], "little")
    leave(call.rmm, call.pe, RecExitReason.HOST_CALL, gprs=record[_GPRS:], imm=imm, state=state)


def unprotected(call: Call) -> bool:
    """``addr`` is not in the protected half of the IPA space."""
    return call.addr >= call.realm.protected_top


def ripas_empty(call: Call) -> bool:
    """There is nothing at ``addr``, by the Realm's own wish."""
    return walk_data(call.w, call.addr) == 0


def outside(call: Call) -> bool:
    """[base, top) is not inside the protected half."""
    return call.top > call.realm.protected_top


PAGE_ALIGN: Final = Check("addr_align", lambda c: c.addr & 0xFFF, _INPUT)
ADDR_BOUND: Final = Check("addr_bound", unprotected, _INPUT)
RIPAS: Final = Check("ripas", ripas_empty, _INPUT)
AT_ADDR: Final = {"w": lambda c: rtt.walk(c.rmm.port, c.realm, c.addr, 3)}
_AT_BASE: Final = {"w": lambda c: rtt.walk(c.rmm.port, c.realm, c.base, 3)}
_VALUE: Final = tuple(f"value{word}" for word in range(8))

COMMANDS: Final = (
    Command(Smccc.VERSION, "SMCCC_VERSION", smccc_version),
    Command(
        Rsi.VERSION, "VERSION", version, ("req",), ("lower", "higher"),
        (Check("req", lambda c: c.req != ABI_VERSION, _INPUT, outputs=lambda c: (ABI_VERSION, ABI_VERSION)),),
    ),
    Command(Rsi.FEATURES, "FEATURES", features, ("index",), ("value",)),
    Command(
        Rsi.MEASUREMENT_READ, "MEASUREMENT_READ", measurement_read, ("index",), _VALUE,
        (Check("index_bound", lambda c: c.index > REM_COUNT, _INPUT),),
    ),
    Command(
        Rsi.MEASUREMENT_EXTEND, "MEASUREMENT_EXTEND", measurement_extend, ("index", "size", *_VALUE), (),
        (
            Check("index_bound", lambda c: not 1 <= c.index <= REM_COUNT, _INPUT),
            Check("size_bound", lambda c: c.size > _VALUE_MAX, _INPUT),
        ),
    ),
    Command(
        Rsi.REALM_CONFIG, "REALM_CONFIG", realm_config, ("addr",), (), (PAGE_ALIGN, ADDR_BOUND, RIPAS), AT_ADDR,
    ),
    Command(
        Rsi.IPA_STATE_SET, "IPA_STATE_SET", ipa_state_set, ("base", "top", "ripas", "flags"), ("new_base", "response"),
        (
            Check("ripas_valid", lambda c: c.ripas not in (RmiRipas.EMPTY, RmiRipas.RAM), _INPUT),
            Check("base_align", lambda c: c.base & 0xFFF, _INPUT),
            Check("top_align", lambda c: c.top & 0xFFF, _INPUT),
            Check("size_valid", lambda c: c.top <= c.base, _INPUT),
            Check("rgn_bound", outside, _INPUT),
        ),
    ),
    Command(
        Rsi.IPA_STATE_GET, "IPA_STATE_GET", ipa_state_get, ("base", "top"), ("out_top", "ripas"),
        (
            Check("base_align", lambda c: c.base & 0xFFF, _INPUT),
            Check("base_bound", lambda c: c.base >= c.realm.protected_top, _INPUT),
            Check("end_align", lambda c: c.top & 0xFFF, _INPUT),
            Check("rgn_bound", outside, _INPUT),
            Check("size_valid", lambda c: c.top <= c.base, _INPUT),
        ),
        _AT_BASE,
    ),
    Command(
        Rsi.HOST_CALL, "HOST_CALL", host_call, ("addr",), (),
        (Check("addr_align", lambda c: c.addr & 0xFF, _INPUT), ADDR_BOUND, RIPAS), AT_ADDR,
    ),
)  # fmt: skip
