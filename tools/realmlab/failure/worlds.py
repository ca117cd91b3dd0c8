"""Scenes of failed runs: of a Realm, of Non-secure software, of a Secure payload."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from cca_arch.sysregs import IchVmcr
from cca_arch.types import SecurityState
from cca_host.kvmtool.layout import RAM_BASE
from cca_platform.failure import Failure

from ..cpu import Registers
from ..results import Reason
from .report import registers, report
from .scene import Scene
from .waiting import of_pe, of_vcpu

if TYPE_CHECKING:
    from cca_host.kvm import Cpu
    from cca_host.kvmtool import Vmm
    from cca_platform.machine.machine import Machine as Platform
    from cca_platform.pe.pe import Pe

    from ..symbols import Symbols
    from ..views import RttView

__all__ = ["Built", "of_non_secure", "of_realm", "of_secure"]

_TIMERS: Final = ("cntv_ctl", "cntv_cval", "cntp_ctl", "cntp_cval")


# -- Realms -------------------------------------------------------------------------------------------------------
class Built(Struct, frozen=True):
    """A Realm that still exists: ``regs`` are the registers of each vCPU, None if they cannot be had.

    ``rtt`` are its stage 2 tables, likewise.
    """

    vmm: "Vmm"
    symbols: "Symbols"
    regs: "Sequence[Any | None]"
    rtt: "RttView | None"


def of_realm(realm: Built, reason: Reason, what: str) -> Failure:
    """The report of a Realm that has failed."""
    chosen = _chosen(realm, what)
    others = {
        f"vCPU {vcpu.index}": registers(_of_vcpu(realm, vcpu, reason, what))
        for vcpu in realm.vmm.vcpus
        if vcpu is not chosen and vcpu.on
    }
    return report(_of_vcpu(realm, chosen, reason, what), others)


def _chosen(realm: Built, what: str) -> "Cpu[Any]":
    """The vCPU that the end is about: the one that is named, or the one that ran last."""
    vcpus = realm.vmm.vcpus
    for vcpu in vcpus:
        if f"vCPU {vcpu.index} " in what or f"vCPU {vcpu.index}:" in what:
            return vcpu
    last = realm.vmm.schedule.turn - 1
    on = [vcpu for vcpu in vcpus if vcpu.on]
    return next((vcpu for vcpu in on if vcpu.index == last), on[0] if on else vcpus[0])


def _of_vcpu(realm: Built, vcpu: "Cpu[Any]", reason: Reason, what: str) -> Scene:
    options, pes = realm.vmm.options, realm.vmm.machine.pes
    scene = Scene(
        reason=reason,
        what=what,
        who=f"vCPU {vcpu.index}",
        pe=pes[vcpu.index % len(pes)],
        security=SecurityState.REALM if options.realm else SecurityState.NON_SECURE,
        regs=realm.regs[vcpu.index],
        symbols=realm.symbols,
        ranges=[(RAM_BASE, options.memory)],
        rtt=realm.rtt,
        shared=1 << options.ipa_width - 1 if options.realm else 0,
        ipa_width=options.ipa_width,
        silent=not realm.vmm.console.sent.total,
    )
    vmcr = IchVmcr(vcpu.vmcr)
    read = {name: scene.reg(f"{name}_el0") for name in _TIMERS}
    scene.interrupts = of_vcpu(vcpu, read, int(vmcr.vpmr), bool(vmcr.veng1))
    return scene


# -- other worlds -------------------------------------------------------------------------------------------------
def of_non_secure(platform: "Platform", symbols: "Symbols", reason: Reason, what: str, silent: bool) -> Failure:
    """The report of Non-secure software on the whole board."""
    on = [pe for pe in platform.pes if pe.on] or [platform.pes[0]]
    chosen = next((pe for pe in on if pe.stuck), None) or next((pe for pe in on if not pe.waiting), on[0])
    others = {
        f"PE {pe.index}": registers(_of_pe(pe, symbols, reason, what))
        for pe in on
        if pe is not chosen and not pe.is_python(pe.el)
    }
    return report(_of_pe(chosen, symbols, reason, what, silent), others)


def of_secure(pe: "Pe", symbols: "Symbols", what: str) -> Failure:
    """The report of a Secure payload that does not start."""
    reason = Reason.STUCK if pe.stuck else Reason.IDLE if pe.waiting else Reason.LIMIT
    return report(_of_pe(pe, symbols, reason, what))


def _of_pe(pe: "Pe", symbols: "Symbols", reason: Reason, what: str, silent: bool = False) -> Scene:
    board, security = pe.machine.board, SecurityState(pe.security)
    if security is SecurityState.SECURE:
        ranges = [(one.base, one.size) for one in (board.region("secure"),)]
    else:
        ranges = [(bank.base, bank.size) for bank in board.ns_banks()]
    scene = Scene(
        reason=reason,
        what=what,
        who=f"PE {pe.index}",
        pe=pe,
        security=security,
        regs=Registers(pe),
        symbols=symbols,
        ranges=ranges,
        silent=silent,
    )
    scene.unclaimed = list(pe.machine.bus.unclaimed)
    scene.interrupts = of_pe(pe) if security is SecurityState.NON_SECURE and pe.has_engine else None
    return scene
