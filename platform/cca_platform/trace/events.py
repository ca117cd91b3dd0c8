"""The catalogue of trace events: one class per event type. Emitters create instances of them.

The fields of a class are all that its events can carry; any other field fails type checking and raises TypeError.
A record has them in the order of the class. :mod:`cca_platform.trace.forms` defines their kinds.
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
    Named,
    Octets,
    Status,
    Text,
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
    "ExceptionRepeat",
    "ExceptionTake",
    "FaultGpf",
    "FaultStage2",
    "FsRequest",
    "GptChange",
    "GranuleTransition",
    "InterruptInject",
    "InterruptTake",
    "MeasurementExtend",
    "MmioRead",
    "MmioWrite",
    "NetFlow",
    "PageIn",
    "PageOut",
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
    "VcpuStateChange",
    "VirtioFault",
    "VirtioRequest",
    "VmExit",
    "WorldSwitch",
    "name_of",
]


SCHEMA: Final = 1
"""The version of the catalogue. Any change other than adding an event or a field increments it."""


class Event(Struct, frozen=True, gc=False, tag_field="event"):
    """An event. The ``tag`` of a class is the name of its events.

    The garbage collector has nothing to find in it, and would look at hundreds of them all the time.
    """


def name_of(event: type[Event]) -> str:
    """The name of an event type in records."""
    return str(event.__struct_config__.tag)


# -- the trace itself, runs and boots -----------------------------------------------------------------------------
class TraceStart(Event, frozen=True, gc=False, kw_only=True, tag="trace.start"):
    """The head of a trace: the first record of every sink. It is not part of the sequence; its ``seq`` is null."""

    schema: Annotated[Count, "version of this catalogue; removing or changing an event or a field increments it"]
    realmlab: Annotated[Name, "version of Realmlab that made the trace"]


class RunStart(Event, frozen=True, gc=False, kw_only=True, tag="run.start"):
    """A payload is about to be loaded and run."""

    board: Annotated[Name, "the board"]
    payload: Annotated[Name, "the payload"]
    vcpus: Annotated[Count | UnsetType, "vCPUs of the Realm"] = UNSET
    memory: Annotated[Count | UnsetType, "size of the Realm's memory in bytes"] = UNSET
    args: Annotated[Name | UnsetType, "arguments of the payload"] = UNSET
    clock: Annotated[Name, "virtual (instructions and idle time) or host"]


class RunStop(Event, frozen=True, gc=False, kw_only=True, tag="run.stop"):
    """The run ended, and everything has been torn down."""

    reason: Annotated[Name, "why it ended"]
    status: Annotated[Count, "exit status"]
    instructions: Annotated[Count, "instructions that the payload retired"]


class BootStage(Event, frozen=True, gc=False, kw_only=True, tag="boot.stage"):
    """A stage of the trusted boot starts or reports."""

    stage: Annotated[Name, "BL1, BL2, BL31, BL32, RMM or BL33"]
    entry: Annotated[Address | UnsetType, "entry point of the stage"] = UNSET
    status: Annotated[Name | UnsetType, "status that the RMM returns"] = UNSET
    version: Annotated[Word | UnsetType, "version of the interface that the stage is given"] = UNSET


class BootImage(Event, frozen=True, gc=False, kw_only=True, tag="boot.image"):
    """A boot image was loaded, checked and measured."""

    image: Annotated[Name, "the image"]
    pa: Annotated[Address, "load address"]
    size: Annotated[Word, "size in bytes"]
    algorithm: Annotated[Name, "hash algorithm of the digest"]
    digest: Annotated[Octets, "its measurement"]
    version: Annotated[Name, "version in the certificate"]


class SystemReset(Event, frozen=True, gc=False, kw_only=True, tag="system.reset"):
    """The machine was reset. DRAM is lost, except nonvolatile ranges."""

    reason: Annotated[Name, "the source of the reset"]


# -- EL3 ----------------------------------------------------------------------------------------------------------
class SmcCall(Event, frozen=True, gc=False, kw_only=True, tag="smc.call"):
    """An SMC reached the root monitor."""

    fid: Annotated[Fid, "W0 of the caller"]
    name: Annotated[Text, "the function, or its number when no specification names it"]
    args: Annotated[Words, "X1 to X7"]


class SmcReturn(Event, frozen=True, gc=False, kw_only=True, tag="smc.return"):
    """The root monitor returned to the caller of an SMC."""

    fid: Annotated[Fid, "W0 of the call"]
    name: Annotated[Text, "the function, or its number when no specification names it"]
    results: Annotated[Words, "X0 to X3; for an RMI command X0 to X4, or X0 to X7 under RMM-EL3 2.0"]


class WorldSwitch(Event, frozen=True, gc=False, kw_only=True, tag="world.switch"):
    """EL3 moved the PE from one security state to another."""

    source: Annotated[Text, "security state before"]
    target: Annotated[Text, "security state after"]
    reason: Annotated[Text, "the function or the interrupt that caused it"]


class GptChange(Event, frozen=True, gc=False, kw_only=True, tag="gpt.change"):
    """EL3 changed the GPT entries of granules."""

    pa: Annotated[Address, "the first granule"]
    size: Annotated[Word, "size of the changed range in bytes"]
    old: Annotated[Text, "GPI before"]
    new: Annotated[Text, "GPI after"]


# -- RMM ----------------------------------------------------------------------------------------------------------
class GranuleTransition(Event, frozen=True, gc=False, kw_only=True, tag="granule.transition"):
    """The RMM moved a granule from one state to another."""

    pa: Annotated[Address, "the granule"]
    old: Annotated[Text, "state before"]
    new: Annotated[Text, "state after"]
    input: Annotated[Text, "input of the state machine: a command or a part of one"]
    cmd: Annotated[Text, "the command"]


class RttEdit(Event, frozen=True, gc=False, kw_only=True, tag="rtt.edit"):
    """The RMM changed an RTT entry."""

    rd: Annotated[Address, "RD of the Realm"]
    ipa: Annotated[Address, "first IPA that the entry translates"]
    level: Annotated[Count, "level of the entry"]
    old: Annotated[Text, "entry before"]
    new: Annotated[Text, "entry after"]
    cmd: Annotated[Text, "the command"]
    pa: Annotated[Address, "address in the new entry"]
    rtt: Annotated[Address, "table that contains the entry"]
    state: Annotated[Name, "state of the new entry"]
    ripas: Annotated[Name | UnsetType, "RIPAS of the new entry, if it has one"] = UNSET


class PageOut(Event, frozen=True, gc=False, kw_only=True, tag="page.out"):
    """The RMM sealed a page of a Realm and gave its granule back (extension paging)."""

    rd: Annotated[Address, "RD of the Realm"]
    ipa: Annotated[Address, "IPA of the page"]
    pa: Annotated[Address, "granule that it was in"]
    version: Annotated[Count, "version of the sealed page"]
    dst: Annotated[Address, "Non-secure page with the ciphertext"]


class PageIn(Event, frozen=True, gc=False, kw_only=True, tag="page.in"):
    """The RMM took a sealed page back (extension paging)."""

    rd: Annotated[Address, "RD of the Realm"]
    ipa: Annotated[Address, "IPA of the page"]
    pa: Annotated[Address, "granule that it is in"]
    version: Annotated[Count, "version of the sealed page"]
    src: Annotated[Address, "Non-secure page with the ciphertext"]


class RmiCall(Event, frozen=True, gc=False, kw_only=True, tag="rmi.call"):
    """The host called an RMI command."""

    fid: Annotated[Fid, "X0 of the host"]
    cmd: Annotated[Text, "the command"]
    args: Annotated[Named, "its arguments"]


class RmiReturn(Event, frozen=True, gc=False, kw_only=True, tag="rmi.return"):
    """An RMI command returned to the host."""

    fid: Annotated[Fid, "X0 of the call"]
    cmd: Annotated[Text, "the command"]
    status: Annotated[Text, "its status"]
    index: Annotated[Count, "index of the status"]
    results: Annotated[Arguments, "its results"]
    failed: Annotated[Text | None, "the failure condition that held"]


class RsiCall(Event, frozen=True, gc=False, kw_only=True, tag="rsi.call"):
    """A Realm called an RSI command."""

    fid: Annotated[Fid, "X0 of the Realm"]
    cmd: Annotated[Text, "the command"]
    args: Annotated[Named, "its arguments"]
    rec: Annotated[Address, "the calling REC"]


class RsiReturn(Event, frozen=True, gc=False, kw_only=True, tag="rsi.return"):
    """An RSI command, or a PSCI function, returned to the Realm."""

    fid: Annotated[Fid, "X0 of the call"]
    cmd: Annotated[Text, "the command"]
    status: Annotated[Status, "X0 of the result"]
    results: Annotated[Arguments, "its results"]
    failed: Annotated[Text | None, "the failure condition that held"]
    rec: Annotated[Address, "the calling REC"]


class PsciCall(Event, frozen=True, gc=False, kw_only=True, tag="psci.call"):
    """A PSCI function was called: by the host in EL3, by a Realm in the RMM, or by a plain VM in the host."""

    fid: Annotated[Fid, "X0 of the caller"]
    cmd: Annotated[Name, "the function"]
    args: Annotated[Arguments, "its arguments"]
    rec: Annotated[Address | UnsetType, "the calling REC, if a Realm calls"] = UNSET
    vm: Annotated[Count | UnsetType, "VMID of a plain VM that calls"] = UNSET
    vcpu: Annotated[Count | UnsetType, "its vCPU"] = UNSET


class RecEnter(Event, frozen=True, gc=False, kw_only=True, tag="rec.enter"):
    """The RMM enters a REC."""

    rec: Annotated[Address, "the REC"]
    rd: Annotated[Address, "RD of its Realm"]
    run: Annotated[Address, "the host's RmiRecRun"]
    pc: Annotated[Address, "where the Realm continues"]
    flags: Annotated[Word, "RmiRecEnterFlags"]


class RecExit(Event, frozen=True, gc=False, kw_only=True, tag="rec.exit"):
    """A REC exits to the host."""

    rec: Annotated[Address, "the REC"]
    rd: Annotated[Address, "RD of its Realm"]
    run: Annotated[Address, "the host's RmiRecRun"]
    reason: Annotated[Name, "RmiRecExitReason"]
    pc: Annotated[Address, "where the Realm stopped"]
    esr: Annotated[Word, "ESR_EL2 as the host sees it"]
    far: Annotated[Word, "FAR_EL2 as the host sees it"]
    hpfar: Annotated[Word, "HPFAR_EL2 as the host sees it"]
    imm: Annotated[Word | UnsetType, "immediate of a host call"] = UNSET
    ipa: Annotated[Address | UnsetType, "page of an abort that the host sees, or base of a RIPAS change"] = UNSET


class MeasurementExtend(Event, frozen=True, gc=False, kw_only=True, tag="measurement.extend"):
    """A Realm's RIM or REM was extended."""

    rd: Annotated[Address, "RD of the Realm"]
    index: Annotated[Count, "0 for the RIM, 1 to 4 for the REMs"]
    kind: Annotated[Name, "what was measured"]
    ipa: Annotated[Address | None, "IPA of what was measured, if it has one"]
    value: Annotated[Octets, "the new measurement"]
    algorithm: Annotated[Name, "the Realm's hash algorithm"]
    digest: Annotated[Octets | UnsetType, "the extension: digest of a page or of a REC, or the Realm's value"] = UNSET


# -- the host -----------------------------------------------------------------------------------------------------
class VmExit(Event, frozen=True, gc=False, kw_only=True, tag="vm.exit"):
    """A vCPU of a plain VM took an exception or a physical interrupt to the host, which has dealt with it."""

    vm: Annotated[Count, "VMID of the VM"]
    vcpu: Annotated[Count, "the vCPU"]
    reason: Annotated[Name, "SYNC, IRQ, PSCI, HOST_CALL or SERROR"]
    pc: Annotated[Address, "where the guest goes on"]
    esr: Annotated[Word, "ESR_EL2"]
    far: Annotated[Word, "FAR_EL2"]
    hpfar: Annotated[Word, "HPFAR_EL2"]


class VcpuStateChange(Event, frozen=True, gc=False, kw_only=True, tag="vcpu.state"):
    """The thread of a vCPU does something else; ``pe`` is the PE that it is bound to."""

    vm: Annotated[Count, "VMID of the VM"]
    vcpu: Annotated[Count, "the vCPU"]
    state: Annotated[Name, "running, ready, blocked or off"]


# -- faults, exceptions, interrupts -------------------------------------------------------------------------------
class FaultStage2(Event, frozen=True, gc=False, kw_only=True, tag="fault.stage2"):
    """A stage 2 fault was taken."""

    ipa: Annotated[Address, "the faulting IPA"]
    va: Annotated[Address, "the faulting VA"]
    pc: Annotated[Address, "the instruction"]
    esr: Annotated[Word, "syndrome"]
    far: Annotated[Word, "FAR"]
    hpfar: Annotated[Word, "HPFAR_EL2"]
    access: Annotated[Name, "READ, WRITE or FETCH"]
    level: Annotated[Count, "level of the entry that refused the access"]
    fault: Annotated[Name, "TRANSLATION, PERMISSION, ACCESS_FLAG, ADDRESS_SIZE or EXTERNAL_WALK"]


class FaultGpf(Event, frozen=True, gc=False, kw_only=True, tag="fault.gpf"):
    """A granule protection check refused an access."""

    pa: Annotated[Address, "the refused PA"]
    va: Annotated[Address, "the faulting VA"]
    pc: Annotated[Address, "the instruction"]
    esr: Annotated[Word, "syndrome"]
    access: Annotated[Name, "READ, WRITE or FETCH"]
    pas: Annotated[Word, "number of the PAS of the access"]
    level: Annotated[Count, "level of the GPT entry"]
    gpi: Annotated[Name | UnsetType, "GPI of the granule, if the tables have one"] = UNSET


class ExceptionTake(Event, frozen=True, gc=False, kw_only=True, tag="exception.take"):
    """An exception was taken to a vector."""

    kind: Annotated[Name, "sync, or injected by the RMM"]
    esr: Annotated[Word, "syndrome"]
    far: Annotated[Word | None, "FAR"]
    hpfar: Annotated[Word | UnsetType, "HPFAR_EL2"] = UNSET
    elr: Annotated[Address, "preferred return address"]
    spsr: Annotated[Word, "PSTATE before the exception"]
    target: Annotated[Word, "exception level that takes it"]
    vector: Annotated[Address, "the vector"]


class ExceptionRepeat(Event, frozen=True, gc=False, kw_only=True, tag="exception.repeat"):
    """Exceptions like those just before, without a return from any of them, and their faults: one event for all."""

    count: Annotated[Count, "how many exceptions were taken"]
    pc: Annotated[Address, "the instruction, of the last kind if several take turns"]
    esr: Annotated[Word, "its syndrome"]
    target: Annotated[Word, "exception level that takes it"]


class InterruptInject(Event, frozen=True, gc=False, kw_only=True, tag="interrupt.inject"):
    """The host changed the virtual interrupts in the list registers of a REC, or of a vCPU of a plain VM."""

    rec: Annotated[Address | UnsetType, "the REC"] = UNSET
    vm: Annotated[Count | UnsetType, "VMID of a plain VM"] = UNSET
    vcpu: Annotated[Count | UnsetType, "its vCPU"] = UNSET
    hcr: Annotated[Word, "ICH_HCR_EL2"]
    lrs: Annotated[Words, "ICH_LR<n>_EL2"]


class InterruptTake(Event, frozen=True, gc=False, kw_only=True, tag="interrupt.take"):
    """An interrupt was taken."""

    kind: Annotated[Name, "irq, fiq or serror"]
    elr: Annotated[Address, "where the interrupted code continues"]
    target: Annotated[Word, "exception level that takes it"]
    virtual: Annotated[Flag, "true for a virtual interrupt"]
    intid: Annotated[Count | UnsetType, "pending interrupt of the highest priority, unless it is an SError"] = UNSET


# -- devices ------------------------------------------------------------------------------------------------------
class ConsoleWrite(Event, frozen=True, gc=False, kw_only=True, tag="console.write"):
    """A guest wrote to a console."""

    device: Annotated[Name, "the console"]
    text: Annotated[Name, "the text"]
    size: Annotated[Word, "length of the text"]


class MmioRead(Event, frozen=True, gc=False, kw_only=True, tag="mmio.read"):
    """A device register was read."""

    device: Annotated[Name, "the device"]
    address: Annotated[Address, "PA of the register, IPA when the VMM has the device"]
    size: Annotated[Word, "bytes of the access"]
    value: Annotated[Word, "what was read"]


class MmioWrite(Event, frozen=True, gc=False, kw_only=True, tag="mmio.write"):
    """A device register was written."""

    device: Annotated[Name, "the device"]
    address: Annotated[Address, "PA of the register, IPA when the VMM has the device"]
    size: Annotated[Word, "bytes of the access"]
    value: Annotated[Word, "what was written"]


class BusUnclaimed(Event, frozen=True, gc=False, kw_only=True, tag="bus.unclaimed"):
    """The first access to an address that no device claims."""

    device: Annotated[Name | None, "board window that contains the address; elsewhere, one event per page"]
    address: Annotated[Address, "PA of the access"]
    size: Annotated[Word, "bytes of the access"]
    access: Annotated[Name, "READ or WRITE"]
    pas: Annotated[Name, "PAS of the access"]
    response: Annotated[Name, "raz (reads as zero, ignores writes) or abort"]
    why: Annotated[Name | None, "why the window needs no model, as its row of the board says"]


class VirtioRequest(Event, frozen=True, gc=False, kw_only=True, tag="virtio.request"):
    """A virtio device has answered a request of its driver."""

    device: Annotated[Name, "the device"]
    queue: Annotated[Count, "number of the queue"]
    kind: Annotated[Name, "what was asked for, in the words of the device's type"]
    sector: Annotated[Count | UnsetType, "first sector of 512 bytes, of a block device"] = UNSET
    length: Annotated[Word, "bytes of data"]
    status: Annotated[Name, "ok, or what the driver is told of the failure"]


class VirtioFault(Event, frozen=True, gc=False, kw_only=True, tag="virtio.fault"):
    """A driver broke a rule of a virtio device, which now needs a reset."""

    device: Annotated[Name, "the device"]
    queue: Annotated[Count | UnsetType, "number of the queue, if it was about one"] = UNSET
    reason: Annotated[Name, "the rule, and what the driver did"]


class NetFlow(Event, frozen=True, gc=False, kw_only=True, tag="net.flow"):
    """A connection of a guest with the outside began or ended."""

    device: Annotated[Name, "the device"]
    flow: Annotated[Count, "number of the connection; from 2**31 on if the outside began it"]
    protocol: Annotated[Name, "tcp, udp or vsock"]
    guest: Annotated[Name, "address and port of the guest"]
    peer: Annotated[Name, "address and port of its peer, as the guest knows it"]
    state: Annotated[Name, "open or closed"]


class FsRequest(Event, frozen=True, gc=False, kw_only=True, tag="fs.request"):
    """A guest asked for something in a folder of the host."""

    device: Annotated[Name, "the device"]
    operation: Annotated[Name, "what was asked for, by its name in the protocol"]
    path: Annotated[Name, "the file or directory, from the folder on; ? if it has no name any more"]
    status: Annotated[Name, "ok, or the error that the guest was told"]
    length: Annotated[Word, "bytes that were read or written"]


class SmmuAbort(Event, frozen=True, gc=False, kw_only=True, tag="smmu.abort"):
    """An SMMU terminated a device's access, or its own access to a table or queue failed granule protection."""

    device: Annotated[Name, "the SMMU"]
    stream: Annotated[Word | UnsetType, "StreamID of a device's access"] = UNSET
    iova: Annotated[Address | UnsetType, "input address of a device's access"] = UNSET
    access: Annotated[Name, "READ, WRITE or FETCH; the purpose of an access of the SMMU's own"]
    fault: Annotated[Name | UnsetType | None, "event recorded for a device's access"] = UNSET
    gpf: Annotated[Flag, "true if granule protection refused the access"]
    pa: Annotated[Address | None, "PA that granule protection refused"]


EVENTS: Final[dict[str, type[Event]]] = {name_of(event): event for event in Event.__subclasses__()}
"""The catalogue: every event type by name."""
