"""A hostile host: what Non-secure software can try against a live Realm, the RMM and EL3.

Each :class:`Attempt` must be ``stopped``: an access by a granule protection fault, a command by an error status, a DMA
access by an abort.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cca_arch.rmi.v1_0 import Rmi, RmiRealmParams
from cca_arch.types import Pas, Ticks
from cca_host.kvm import Exit, Interrupted, System, Vcpu, Vm
from cca_host.kvm.kernel import Kernel
from cca_host.kvmtool.layout import RAM_BASE
from cca_platform.devices.dma import DmaCommand, DmaOffset, DmaStatus
from cca_platform.errors import GranuleProtectionFault

__all__ = ["Attempt", "attack", "attack_new_realm", "targets"]

_LOOP = (0x1400_0000).to_bytes(4, "little")  # b .
_SLICE = 1000
_DMA = "realmlab-dma"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: what was done to which kind of granule, and the outcome."""

    target: str
    pa: int
    action: str
    stopped: bool
    outcome: str


def targets(vm: Vm) -> Iterator[tuple[str, int]]:
    """One granule of each kind that a live Realm has, and both ends of each region that is not Non-secure."""
    stage2, vcpu = vm.stage2, vm.vcpus[0]
    yield "RD", vm.rd
    yield "RTT, starting level", vm.root
    yield "RTT", min(stage2.tables)
    yield "DATA", min(stage2.data.values())
    yield "REC", vcpu.rec
    yield from (("REC_AUX", pa) for pa in vcpu.aux[:1])
    for region in vm.system.machine.board.regions:
        if region.pas is not Pas.NON_SECURE:
            yield f"{region.name}, first granule", region.base
            yield f"{region.name}, last granule", region.top - 0x1000


def _access(action: Callable[[], object]) -> tuple[bool, str]:
    try:
        action()
    except GranuleProtectionFault as fault:
        return True, f"granule protection fault, level {fault.level}"
    return False, "went through"


def _command(system: Kernel, fid: int, *args: int) -> tuple[bool, str]:
    x0 = system.rmi(fid, *args)[0]
    return bool(x0), f"answered {x0:#x}"


def _transfer(system: Kernel, source: int, target: int) -> tuple[bool, str]:
    """Copy with the board's DMA engine; the SMMU is off, as the host leaves it."""
    machine = system.machine
    base = next(device.base for device in machine.board.devices if device.kind == _DMA)
    for offset, size, value in (
        (DmaOffset.CLEAR, 4, 0xFFFF_FFFF),
        (DmaOffset.SOURCE, 8, source),
        (DmaOffset.TARGET, 8, target),
        (DmaOffset.LENGTH, 4, 64),
        (DmaOffset.COMMAND, 4, DmaCommand.COPY),
    ):
        machine.bus.write(base + offset, size, value)
    status = machine.bus.read(base + DmaOffset.STATUS, 4)
    return status == DmaStatus.ABORTED, f"status {status:#x}"


def _try_granule(vm: Vm, pa: int) -> Iterator[tuple[str, tuple[bool, str]]]:
    """Make every attempt on one granule: its name, whether it was stopped, and by what."""
    system, port = vm.system, vm.system.port
    yield "read", _access(lambda: port.read(pa, 64))
    yield "write", _access(lambda: port.write(pa, b"\xff" * 64))
    yield "read a word at its end", _access(lambda: port.read64(pa + 0xFF8))
    yield "DMA from it", _transfer(system, pa, vm.staging)
    yield "DMA to it", _transfer(system, vm.staging, pa)
    yield "RMI_GRANULE_UNDELEGATE", _command(system, Rmi.GRANULE_UNDELEGATE, pa)
    yield "RMI_GRANULE_DELEGATE", _command(system, Rmi.GRANULE_DELEGATE, pa)
    yield "RMI_RTT_CREATE with it as a table", _command(system, Rmi.RTT_CREATE, vm.rd, pa, vm.stage2.half, 3)
    yield "RMI_DATA_CREATE_UNKNOWN with it as data", _command(system, Rmi.DATA_CREATE_UNKNOWN, vm.rd, pa, RAM_BASE)
    yield "RMI_REALM_CREATE with it as parameters", _command(system, Rmi.REALM_CREATE, vm.staging, pa)
    yield "RMI_REC_ENTER with it as run page", _command(system, Rmi.REC_ENTER, vm.vcpus[0].rec, pa)
    vm.system.port.write(vm.staging, RmiRealmParams.pack(s2sz=vm.ipa_width, rtt_base=pa))
    yield "RMI_REALM_CREATE with it as RD", _command(system, Rmi.REALM_CREATE, pa, vm.staging)


def attack(vm: Vm) -> list[Attempt]:
    """Make every attempt on every kind of granule of a live Realm with at least one vCPU and one page."""
    return [
        Attempt(target, pa, action, stopped, outcome)
        for target, pa in list(targets(vm))
        for action, (stopped, outcome) in _try_granule(vm, pa)
    ]


def _run_slice(vcpu: Vcpu) -> Exit:
    pe, clock = vcpu.vm.system.pe, vcpu.vm.system.machine.clock
    pe.host_timer(Ticks(clock.now + _SLICE))
    try:
        return vcpu.run()
    finally:
        pe.host_timer(None)


def attack_new_realm(system: System) -> list[Attempt]:
    """Attack a Realm built for the purpose, which loops endlessly and must keep doing so."""
    with Vm(system) as vm:
        vm.add_memory(RAM_BASE, 2 << 20)
        vm.init_ripas()
        vm.populate(RAM_BASE, _LOOP)
        vcpu = vm.create_vcpu(RAM_BASE)
        vm.activate()
        _run_slice(vcpu)
        attempts = attack(vm)
        before = system.pe.retired
        result = _run_slice(vcpu)
        unharmed = isinstance(result, Interrupted) and system.pe.retired > before
        attempts.append(
            Attempt("Realm", vm.rd, "keep it from going on", unharmed, f"the Realm's next exit is {result}")
        )
    return attempts
