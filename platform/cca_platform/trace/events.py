"""The catalogue of the trace: one class for each type of event, which is what an emitter makes.

The fields of a class are all that its events can carry: another one is an error of type checking, and a TypeError.
They stand in the record in the order of the class. :mod:`cca_platform.trace.forms` has their kinds.
"""

from typing import Annotated, Final

from msgspec import Struct

from cca_platform.trace.forms import (
    UNSET,
    Address,
    Arguments,
    Count,
    Fid,
    Flag,
    Name,
    Octets,
    Status,
    UnsetType,
    Word,
    Words,
)

__all__ = [
    "EVENTS",
    "SCHEMA",
    "BootImage",
    "BootStage",
    "BusUnclaimed",
    "ConsoleWrite",
    "Event",
    "ExceptionTake",
    "FaultGpf",
    "FaultStage2",
    "GptChange",
    "GranuleTransition",
    "InterruptInject",
    "InterruptTake",
    "MeasurementExtend",
    "MmioRead",
    "MmioWrite",
    "PsciCall",
    "RecEnter",
    "RecExit",
    "RmiCall",
    "RmiReturn",
    "RsiCall",
    "RsiReturn",
    "RttEdit",
    "RunStart",
    "RunStop",
    "SmcCall",
    "SmcReturn",
    "SmmuAbort",
    "SystemReset",
    "TraceStart",
    "WorldSwitch",
    "name_of",
]


SCHEMA: Final = 1
"""The version of the catalogue. Adding an event or a field keeps it; any other change raises it."""


class Event(Struct, frozen=True, tag_field="event"):
    """An event; the ``tag`` of a class is the name of its events."""


def name_of(event: type[Event]) -> str:
    """The name that events of a type have in a record."""
    return str(event.__struct_config__.tag)


# -- the trace itself, runs and boots -----------------------------------------------------------------------------
class TraceStart(Event, frozen=True, kw_only=True, tag="trace.start"):
    """The head of a trace: the first record that a sink gets. It has no place in the sequence: its ``seq`` is null."""

    schema: Annotated[Count, "version of this catalogue: it goes up when an event or a field is dropped or changes"]
    realmlab: Annotated[Name, "version of Realmlab that made the trace"]


class RunStart(Event, frozen=True, kw_only=True, tag="run.start"):
    """A payload is about to be built and run."""

    board: Annotated[Name, "the board"]
    payload: Annotated[Name, "what runs"]
    vcpus: Annotated[Count | UnsetType, "vCPUs of the Realm"] = UNSET
    memory: Annotated[Count | UnsetType, "bytes of the Realm's memory"] = UNSET
    args: Annotated[Name | UnsetType, "arguments of the payload"] = UNSET
    clock: Annotated[Name, "virtual (instructions and idle time) or host"]


class RunStop(Event, frozen=True, kw_only=True, tag="run.stop"):
    """The run is over and everything is torn down."""

    reason: Annotated[Name, "why it ended"]
    status: Annotated[Count, "exit status"]
    instructions: Annotated[Count, "instructions that the payload retired"]


class BootStage(Event, frozen=True, kw_only=True, tag="boot.stage"):
    """A stage of the trusted boot begins or answers."""

    stage: Annotated[Name, "BL1, BL2, BL31, BL32, RMM or BL33"]
    entry: Annotated[Address | UnsetType, "where the stage starts"] = UNSET
    status: Annotated[Name | UnsetType, "what the RMM answers"] = UNSET
    version: Annotated[Word | UnsetType, "version of the interface that the stage gets"] = UNSET


class BootImage(Event, frozen=True, kw_only=True, tag="boot.image"):
    """A boot image was loaded, checked and measured."""

    image: Annotated[Name, "the image"]
    pa: Annotated[Address, "where it was loaded"]
    size: Annotated[Word, "its bytes"]
    algorithm: Annotated[Name, "hash algorithm of the digest"]
    digest: Annotated[Octets, "its measurement"]
    version: Annotated[Name, "its version in the certificate"]


class SystemReset(Event, frozen=True, kw_only=True, tag="system.reset"):
    """The machine was reset: DRAM but for nonvolatile memory is lost."""

    reason: Annotated[Name, "what asked for it"]


# -- EL3 ----------------------------------------------------------------------------------------------------------
class SmcCall(Event, frozen=True, kw_only=True, tag="smc.call"):
    """An SMC reached the root monitor."""

    fid: Annotated[Fid, "W0 of the caller"]
    name: Annotated[Name, "the function, or its number when no specification names it"]
    args: Annotated[Words, "X1 to X7"]


class SmcReturn(Event, frozen=True, kw_only=True, tag="smc.return"):
    """The root monitor returned to the caller of an SMC."""

    fid: Annotated[Fid, "W0 of the call"]
    name: Annotated[Name, "the function, or its number when no specification names it"]
    results: Annotated[Words, "X0 to X3, of an RMI command X0 to X4"]


class WorldSwitch(Event, frozen=True, kw_only=True, tag="world.switch"):
    """EL3 moved the PE from one security state to another."""

    source: Annotated[Name, "security state before"]
    target: Annotated[Name, "security state after"]
    reason: Annotated[Name, "the function or the interrupt that caused it"]


class GptChange(Event, frozen=True, kw_only=True, tag="gpt.change"):
    """EL3 changed the GPT entry of granules."""

    pa: Annotated[Address, "the first granule"]
    size: Annotated[Word, "bytes that changed"]
    old: Annotated[Name, "GPI before"]
    new: Annotated[Name, "GPI after"]


# -- RMM ----------------------------------------------------------------------------------------------------------
class GranuleTransition(Event, frozen=True, kw_only=True, tag="granule.transition"):
    """The RMM moved a granule from one state to another."""

    pa: Annotated[Address, "the granule"]
    old: Annotated[Name, "state before"]
    new: Annotated[Name, "state after"]
    input: Annotated[Name, "the input of the state machine: a command or a part of one"]
    cmd: Annotated[Name, "the command"]


class RttEdit(Event, frozen=True, kw_only=True, tag="rtt.edit"):
    """The RMM changed an RTT entry."""

    rd: Annotated[Address, "RD of the Realm"]
    ipa: Annotated[Address, "what the entry translates"]
    level: Annotated[Count, "level of the entry"]
    old: Annotated[Name, "entry before"]
    new: Annotated[Name, "entry after"]
    cmd: Annotated[Name, "the command"]
    pa: Annotated[Address, "address in the new entry"]
    rtt: Annotated[Address, "the table that has the entry"]
    state: Annotated[Name, "state of the new entry"]
    ripas: Annotated[Name | UnsetType, "RIPAS of the new entry, where it has one"] = UNSET


class RmiCall(Event, frozen=True, kw_only=True, tag="rmi.call"):
    """The host called an RMI command."""

    fid: Annotated[Fid, "X0 of the host"]
    cmd: Annotated[Name, "the command"]
    args: Annotated[Arguments, "its arguments"]


class RmiReturn(Event, frozen=True, kw_only=True, tag="rmi.return"):
    """An RMI command returned to the host."""

    fid: Annotated[Fid, "the command's"]
    cmd: Annotated[Name, "the command"]
    status: Annotated[Name, "its status"]
    index: Annotated[Count, "index of the status"]
    results: Annotated[Arguments, "its results"]
    failed: Annotated[Name | None, "the failure condition that held"]


class RsiCall(Event, frozen=True, kw_only=True, tag="rsi.call"):
    """A Realm called an RSI command."""

    fid: Annotated[Fid, "X0 of the Realm"]
    cmd: Annotated[Name, "the command"]
    args: Annotated[Arguments, "its arguments"]
    rec: Annotated[Address, "the calling REC"]


class RsiReturn(Event, frozen=True, kw_only=True, tag="rsi.return"):
    """An RSI command, or a PSCI function, returned to the Realm."""

    fid: Annotated[Fid, "X0 of the call"]
    cmd: Annotated[Name, "the command"]
    status: Annotated[Status, "X0 of the answer"]
    results: Annotated[Arguments, "its results"]
    failed: Annotated[Name | None, "the failure condition that held"]
    rec: Annotated[Address, "the calling REC"]


class PsciCall(Event, frozen=True, kw_only=True, tag="psci.call"):
    """A PSCI function was called, of EL3 by the host or of the RMM by a Realm."""

    fid: Annotated[Fid, "X0 of the caller"]
    cmd: Annotated[Name, "the function"]
    args: Annotated[Arguments, "its arguments"]
    rec: Annotated[Address | UnsetType, "the calling REC, when a Realm calls"] = UNSET


class RecEnter(Event, frozen=True, kw_only=True, tag="rec.enter"):
    """The RMM enters a REC."""

    rec: Annotated[Address, "the REC"]
    rd: Annotated[Address, "RD of its Realm"]
    run: Annotated[Address, "the host's RmiRecRun"]
    pc: Annotated[Address, "where the Realm goes on"]
    flags: Annotated[Word, "RmiRecEnterFlags"]


class RecExit(Event, frozen=True, kw_only=True, tag="rec.exit"):
    """A REC exits to the host."""

    rec: Annotated[Address, "the REC"]
    rd: Annotated[Address, "RD of its Realm"]
    run: Annotated[Address, "the host's RmiRecRun"]
    reason: Annotated[Name, "RmiRecExitReason"]
    pc: Annotated[Address, "where the Realm stopped"]
    esr: Annotated[Word, "what the host sees of ESR_EL2"]
    far: Annotated[Word, "what the host sees of FAR_EL2"]
    hpfar: Annotated[Word, "what the host sees of HPFAR_EL2"]
    imm: Annotated[Word | UnsetType, "immediate of a host call"] = UNSET
    ipa: Annotated[Address | UnsetType, "the page of an abort that the host sees, the base of a RIPAS change"] = UNSET


class MeasurementExtend(Event, frozen=True, kw_only=True, tag="measurement.extend"):
    """A Realm's RIM or REM was extended."""

    rd: Annotated[Address, "RD of the Realm"]
    index: Annotated[Count, "0 for the RIM, 1 to 4 for the REMs"]
    kind: Annotated[Name, "what extended it"]
    ipa: Annotated[Address | None, "what was measured, when it has an IPA"]
    value: Annotated[Octets, "the measurement now"]
    algorithm: Annotated[Name, "the Realm's hash algorithm"]
    digest: Annotated[Octets | UnsetType, "what extended it: digest of a page or of a REC, the Realm's value"] = UNSET


# -- faults, exceptions, interrupts -------------------------------------------------------------------------------
class FaultStage2(Event, frozen=True, kw_only=True, tag="fault.stage2"):
    """A stage 2 fault was taken."""

    ipa: Annotated[Address, "the faulting IPA"]
    va: Annotated[Address, "the faulting VA"]
    pc: Annotated[Address, "the instruction"]
    esr: Annotated[Word, "syndrome"]
    far: Annotated[Word, "FAR"]
    hpfar: Annotated[Word, "HPFAR_EL2"]
    access: Annotated[Name, "READ, WRITE or FETCH"]
    level: Annotated[Count, "level of the entry that refused it"]
    fault: Annotated[Name, "TRANSLATION, PERMISSION, ACCESS_FLAG, ADDRESS_SIZE or EXTERNAL_WALK"]


class FaultGpf(Event, frozen=True, kw_only=True, tag="fault.gpf"):
    """A granule protection check refused an access."""

    pa: Annotated[Address, "the refused PA"]
    va: Annotated[Address, "the faulting VA"]
    pc: Annotated[Address, "the instruction"]
    esr: Annotated[Word, "syndrome"]
    access: Annotated[Name, "READ, WRITE or FETCH"]
    pas: Annotated[Word, "PAS of the access, by its number"]
    level: Annotated[Count, "level of the GPT entry"]
    gpi: Annotated[Name | UnsetType, "GPI of the granule, where the tables give one"] = UNSET


class ExceptionTake(Event, frozen=True, kw_only=True, tag="exception.take"):
    """An exception was taken to a vector."""

    kind: Annotated[Name, "sync, or injected by the RMM"]
    esr: Annotated[Word, "syndrome"]
    far: Annotated[Word | None, "FAR"]
    hpfar: Annotated[Word | UnsetType, "HPFAR_EL2"] = UNSET
    elr: Annotated[Address, "preferred return address"]
    spsr: Annotated[Word, "PSTATE before"]
    target: Annotated[Word, "exception level that takes it"]
    vector: Annotated[Address, "the vector"]


class InterruptInject(Event, frozen=True, kw_only=True, tag="interrupt.inject"):
    """The host puts other virtual interrupts into the list registers of a REC."""

    rec: Annotated[Address, "the REC"]
    hcr: Annotated[Word, "ICH_HCR_EL2"]
    lrs: Annotated[Words, "ICH_LR<n>_EL2"]


class InterruptTake(Event, frozen=True, kw_only=True, tag="interrupt.take"):
    """An interrupt was taken."""

    kind: Annotated[Name, "irq, fiq or serror"]
    elr: Annotated[Address, "where the interrupted code goes on"]
    target: Annotated[Word, "exception level that takes it"]
    virtual: Annotated[Flag, "whether it is a virtual interrupt"]
    intid: Annotated[Count | UnsetType, "the pending interrupt of the highest priority, unless it is an SError"] = UNSET


# -- devices ------------------------------------------------------------------------------------------------------
class ConsoleWrite(Event, frozen=True, kw_only=True, tag="console.write"):
    """A guest wrote to a console."""

    device: Annotated[Name, "the console"]
    text: Annotated[Name, "what it wrote"]
    size: Annotated[Word, "length of what it wrote"]


class MmioRead(Event, frozen=True, kw_only=True, tag="mmio.read"):
    """A device register was read."""

    device: Annotated[Name, "the device"]
    address: Annotated[Address, "PA of the register, IPA when the VMM has the device"]
    size: Annotated[Word, "bytes of the access"]
    value: Annotated[Word, "what was read"]


class MmioWrite(Event, frozen=True, kw_only=True, tag="mmio.write"):
    """A device register was written."""

    device: Annotated[Name, "the device"]
    address: Annotated[Address, "PA of the register, IPA when the VMM has the device"]
    size: Annotated[Word, "bytes of the access"]
    value: Annotated[Word, "what was written"]


class BusUnclaimed(Event, frozen=True, kw_only=True, tag="bus.unclaimed"):
    """The first access to a place that no device claims."""

    device: Annotated[Name | None, "the window of the board that holds it; else only the first access of a page counts"]
    address: Annotated[Address, "PA of the access"]
    size: Annotated[Word, "bytes of the access"]
    access: Annotated[Name, "READ or WRITE"]
    pas: Annotated[Name, "PAS of the access"]
    response: Annotated[Name, "raz (reads as zero, ignores writes) or abort"]


class SmmuAbort(Event, frozen=True, kw_only=True, tag="smmu.abort"):
    """An SMMU terminated a device's access, or granule protection refused one of its own to a table or queue."""

    device: Annotated[Name, "the SMMU"]
    stream: Annotated[Word | UnsetType, "StreamID of a device's access"] = UNSET
    iova: Annotated[Address | UnsetType, "input address of a device's access"] = UNSET
    access: Annotated[Name, "READ, WRITE or FETCH; of an access of its own, what it was for"]
    fault: Annotated[Name | UnsetType | None, "the event that is recorded for a device's access"] = UNSET
    gpf: Annotated[Flag, "whether granule protection refused it"]
    pa: Annotated[Address | None, "what granule protection refused"]


EVENTS: Final[dict[str, type[Event]]] = {name_of(event): event for event in Event.__subclasses__()}
"""The catalogue: every event that can be in the stream, by name."""
