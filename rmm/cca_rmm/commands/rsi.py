"""RSI, the services of the RMM to a Realm (DEN0137 "Realm Services Interface"), and SMCCC_VERSION."""

import struct
from typing import Any, Final

from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import WITH_RIPAS
from cca_arch.rmi.v1_0 import RecExitReason, RmiRipas
from cca_arch.rsi.v1_0 import Rsi, RsiHostCall, RsiRealmConfig, RsiRipasChangeFlags, RsiStatus
from cca_arch.smccc import Smccc
from cca_arch.types import GRANULE_SIZE
from cca_rmm.base.command import Check, Command, Result, loaded
from cca_rmm.commands.calls import ServiceCall
from cca_rmm.commands.service_memory import ADDR_BOUND, PAGE_ALIGN, RIPAS, MemoryCall, page
from cca_rmm.objects import measurement, rtt
from cca_rmm.objects.realm import REM_COUNT, RPV_OFFSET
from cca_rmm.objects.rtt import Walk
from cca_rmm.world.exit import leave

__all__ = ["COMMANDS", "SMCCC_VERSION"]

SMCCC_VERSION: Final = 0x10002
_INPUT: Final = RsiStatus.ERROR_INPUT
_VALUE_MAX: Final = 64
_OFFSET: Final = GRANULE_SIZE - 1
_GPRS: Final = RsiHostCall.offset("gprs")
_HOST_CALL: Final = RecExitReason.HOST_CALL


class VersionCall(ServiceCall):
    """RSI_VERSION."""

    req: int


class IndexCall(ServiceCall):
    """RSI_FEATURES and RSI_MEASUREMENT_READ."""

    index: int


class ExtendCall(ServiceCall):
    """RSI_MEASUREMENT_EXTEND."""

    index: int
    size: int
    value0: int
    value1: int
    value2: int
    value3: int
    value4: int
    value5: int
    value6: int
    value7: int


class SetCall(ServiceCall):
    """RSI_IPA_STATE_SET."""

    base: int
    top: int
    ripas: int
    flags: int


class GetCall(ServiceCall):
    """RSI_IPA_STATE_GET."""

    base: int
    top: int

    @loaded
    def w(self) -> Walk:
        """The walk to the first page."""
        return rtt.walk(self.rmm.port, self.realm, self.base, 3)


def version(call: VersionCall) -> Result:
    """Return the only supported version as both bounds."""
    return 0, call.rmm.facts.rsi, call.rmm.facts.rsi


def features(call: IndexCall) -> Result:
    """Return 0: version 1.0 defines no feature register."""
    return 0, 0


def smccc_version(call: ServiceCall) -> Result:
    """SMCCC 1.2."""
    return (SMCCC_VERSION,)


def measurement_read(call: IndexCall) -> Result:
    """X1..X8: the 64-byte slot of the RIM (0) or of a REM (1..4)."""
    return 0, *struct.unpack("<8Q", measurement.load(call.rmm.port, call.record.rd, call.index))


def measurement_extend(call: ExtendCall) -> Result:
    """REM[index - 1] = hash of the REM and the first ``size`` bytes of X3..X10."""
    rmm, rd, realm = call.rmm, call.record.rd, call.realm
    value = call.pe.x[3:11].tobytes()[: call.size]
    rem = measurement.extend_rem(realm.hash_algo, measurement.load(rmm.port, rd, call.index), value)
    measurement.store(rmm.port, rmm.trace, call.pe, rd, realm, call.index, rem, "MEASUREMENT_EXTEND", content=value)
    return (0,)


def realm_config(call: MemoryCall) -> Result | None:
    """Write RsiRealmConfig and clear the rest of the page."""
    target = page(call)
    if target is None:
        return None
    port, realm = call.rmm.port, call.realm
    rpv = port.read(call.record.rd + RPV_OFFSET, 64)
    port.write(target, RsiRealmConfig.pack(ipa_width=realm.s2sz, hash_algo=realm.hash_algo, rpv=rpv))
    return (0,)


def ipa_state_set(call: SetCall) -> None:
    """Keep the request in the REC and exit: the Host changes the RIPAS with RMI_RTT_SET_RIPAS."""
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


def ipa_state_get(call: GetCall) -> Result:
    """Return the RIPAS at ``base`` and the end of its run, at most ``top`` or the end of the table."""
    w, port = call.w, call.rmm.port
    size, value = rtte.level_size(w.level), rtte.ripas(w.entry)
    end, index = (call.base & -size) + size, w.slot + 1
    while end < call.top and index < rtte.ENTRIES:
        entry = port.read64(w.table + 8 * index)
        if rtte.kind_of(entry, w.level) not in WITH_RIPAS or rtte.ripas(entry) != value:
            break
        end += size
        index += 1
    return 0, min(end, call.top), value


def host_call(call: MemoryCall) -> None:
    """Exit to the Host, which sees the structure's imm and gprs and replies in enter.gprs."""
    target = page(call)
    if target is None:
        return
    record = call.rmm.port.read(target, RsiHostCall.size)
    state = {"host_call": 1, "host_call_ipa": call.addr}
    imm = record[0] | record[1] << 8
    leave(call.rmm, call.pe, _HOST_CALL, gprs=record[_GPRS:], imm=imm, state=state)


def outside(call: SetCall | GetCall) -> bool:
    """[base, top) is not inside the protected half."""
    return call.top > call.realm.protected_top


_VALUE: Final = tuple(f"value{word}" for word in range(8))

COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[ServiceCall](Smccc.VERSION, "SMCCC_VERSION", ServiceCall, smccc_version),
    Command[VersionCall](
        Rsi.VERSION, "VERSION", VersionCall, version, ("lower", "higher"),
        (
            Check(
                "req", lambda c: c.req != c.rmm.facts.rsi, _INPUT,
                outputs=lambda c: (c.rmm.facts.rsi, c.rmm.facts.rsi),
            ),
        ),
    ),
    Command[IndexCall](Rsi.FEATURES, "FEATURES", IndexCall, features, ("value",)),
    Command[IndexCall](
        Rsi.MEASUREMENT_READ, "MEASUREMENT_READ", IndexCall, measurement_read, _VALUE,
        (Check("index_bound", lambda c: c.index > REM_COUNT, _INPUT),),
    ),
    Command[ExtendCall](
        Rsi.MEASUREMENT_EXTEND, "MEASUREMENT_EXTEND", ExtendCall, measurement_extend, (),
        (
            Check("index_bound", lambda c: not 1 <= c.index <= REM_COUNT, _INPUT),
            Check("size_bound", lambda c: c.size > _VALUE_MAX, _INPUT),
        ),
    ),
    Command[MemoryCall](
        Rsi.REALM_CONFIG, "REALM_CONFIG", MemoryCall, realm_config, (), (PAGE_ALIGN, ADDR_BOUND, RIPAS),
    ),
    Command[SetCall](
        Rsi.IPA_STATE_SET, "IPA_STATE_SET", SetCall, ipa_state_set, ("new_base", "response"),
        (
            Check("ripas_valid", lambda c: c.ripas not in (RmiRipas.EMPTY, RmiRipas.RAM), _INPUT),
            Check("base_align", lambda c: c.base & _OFFSET, _INPUT),
            Check("top_align", lambda c: c.top & _OFFSET, _INPUT),
            Check("size_valid", lambda c: c.top <= c.base, _INPUT),
            Check("rgn_bound", outside, _INPUT),
        ),
    ),
    Command[GetCall](
        Rsi.IPA_STATE_GET, "IPA_STATE_GET", GetCall, ipa_state_get, ("out_top", "ripas"),
        (
            Check("base_align", lambda c: c.base & _OFFSET, _INPUT),
            Check("base_bound", lambda c: c.base >= c.realm.protected_top, _INPUT),
            Check("end_align", lambda c: c.top & _OFFSET, _INPUT),
            Check("rgn_bound", outside, _INPUT),
            Check("size_valid", lambda c: c.top <= c.base, _INPUT),
        ),
    ),
    Command[MemoryCall](
        Rsi.HOST_CALL, "HOST_CALL", MemoryCall, host_call, (),
        (Check("addr_align", lambda c: c.addr & (RsiHostCall.size - 1), _INPUT), ADDR_BOUND, RIPAS),
    ),
)  # fmt: skip
