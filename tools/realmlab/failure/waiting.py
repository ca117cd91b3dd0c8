"""The interrupts that software waits for: what is armed, and what keeps it from coming."""

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from cca_arch.gic import FIRST_SPI, Ppi
from cca_arch.sysregs import CntCtl, Hcr
from cca_platform.gic.priorities import G1NS

if TYPE_CHECKING:
    from cca_host.kvm import Cpu
    from cca_platform.pe.pe import Pe

__all__ = ["Interrupts", "Timer", "of_pe", "of_vcpu"]

_REALM_TIMERS: Final = (("virtual timer", "cntv", Ppi.CNTV), ("physical timer", "cntp", Ppi.CNTP))
_EL2_TIMERS: Final = (("EL2 physical timer", "cnthp", Ppi.CNTHP), ("EL2 virtual timer", "cnthv", Ppi.CNTHV))
_FIRST_PPI: Final = 16


class Timer(Struct, frozen=True):
    """A timer: its control register and compare value, and its PPI."""

    name: str
    register: str
    control: int
    compare: int
    intid: int

    @property
    def on(self) -> bool:
        """True if it is enabled."""
        return bool(CntCtl(self.control).enable)

    @property
    def masked(self) -> bool:
        """True if it masks its own interrupt."""
        return bool(CntCtl(self.control).imask)


class Interrupts(Struct, frozen=True):
    """The interrupts of one vCPU or PE at the end of a run.

    ``enabled``, ``pending`` and ``active`` are sets of INTIDs, a bit each, ``priorities`` the priority of each one in
    them; those that are ``active`` were acknowledged and have not ended. ``distributor`` and ``group`` say whether the
    distributor and the CPU interface have Group 1 enabled, ``pmr`` is ICC_PMR_EL1, None if it cannot be had. ``awake``
    is that of the redistributor, ``routed`` says that EL2 takes them where it runs.
    """

    now: int
    timers: tuple[Timer, ...]
    enabled: int
    pending: int
    priorities: dict[int, int]
    distributor: bool
    group: bool
    pmr: int | None
    active: int = 0
    awake: bool = True
    routed: bool = True

    @property
    def armed(self) -> list[Timer]:
        """The timers that are on."""
        return [timer for timer in self.timers if timer.on]

    @property
    def due(self) -> list[Timer]:
        """Those whose time has come, and that do not mask their interrupts."""
        return [timer for timer in self.armed if not timer.masked and timer.compare <= self.now]

    @property
    def sought(self) -> list[int]:
        """The INTIDs that should have come: of timers that are due, and what else is pending, enabled or not."""
        return [*(timer.intid for timer in self.due), *(n for n in _bits(self.pending) if n >= _FIRST_PPI)]

    def confused(self, intid: int) -> int | None:
        """An INTID that is enabled in place of this one, by a PPI number taken for an INTID or for that of an SPI."""
        number = intid - _FIRST_PPI
        wrong = (number, FIRST_SPI + number, FIRST_SPI + intid)
        return (
            next((one for one in wrong if self.enabled >> one & 1), None) if _FIRST_PPI <= intid < FIRST_SPI else None
        )

    def other(self, intid: int) -> Timer | None:
        """A timer that is not armed, but whose interrupt is enabled in place of this one."""
        return next(
            (one for one in self.timers if not one.on and self.enabled >> one.intid & 1 and one.intid != intid), None
        )


def _bits(value: int) -> list[int]:
    return [number for number in range(value.bit_length()) if value >> number & 1]


def _timers(pe: "Pe", rows: tuple[tuple[str, str, int], ...], read: "dict[str, int]") -> tuple[Timer, ...]:
    return tuple(
        Timer(
            name,
            f"{stem.upper()}_CTL_EL{2 if stem[3] == 'h' else 0}",
            read[f"{stem}_ctl"],
            read[f"{stem}_cval"],
            int(intid),
        )
        for name, stem, intid in rows
    )


def of_vcpu(vcpu: "Cpu[Any]", read: "dict[str, int]", pmr: int | None, group: bool) -> Interrupts | None:
    """Those of a Realm's vCPU, whose interrupt controller is the host's."""
    vgic = vcpu.vm.vgic
    if vgic is None:
        return None
    cpu, spis = vgic.cpus[vcpu.index], vgic.spis
    now = vcpu.vm.system.machine.clock.now
    enabled = cpu.private.enabled & ~0xFFFF | spis.enabled
    pending = cpu.private.pending | spis.pending & cpu.routed
    priorities = {n: (cpu.private if n < FIRST_SPI else spis).priority[n] for n in _bits(enabled | pending)}
    timers = _timers(vcpu.vm.system.pe, _REALM_TIMERS, read)
    active = cpu.private.active | spis.active
    return Interrupts(now, timers, enabled, pending, priorities, vgic.enabled, group, pmr, active)


def of_pe(pe: "Pe") -> Interrupts:
    """Those of a PE that runs Non-secure software."""
    cpu, gic = pe.cpu_interface, pe.machine.gic
    private, spis = cpu.interrupts, gic.spis
    own = private.group | spis.group  # the others are the Secure world's
    enabled = (private.enable & ~0xFFFF | spis.enable) & own
    pending = (private.pending | spis.pending) & own
    priorities = {
        n: (private.priority[n] if n < FIRST_SPI else spis.priority[n - FIRST_SPI]) for n in _bits(enabled | pending)
    }
    from cca_platform.native import block as w

    names = ("cntv", "cntp", "cnthp", "cnthv")
    read = {}
    for number, stem in enumerate(names):
        read[f"{stem}_ctl"] = pe.words[w.P_TIMERS + 2 * number]
        read[f"{stem}_cval"] = pe.words[w.P_TIMERS + 2 * number + 1]
    timers = _timers(pe, (*_REALM_TIMERS, *_EL2_TIMERS), read)
    hcr = Hcr(pe.words[w.P_HCR])
    routed = pe.el != 2 or bool(hcr.imo or hcr.tge)
    return Interrupts(
        pe.machine.clock.now, timers, enabled, pending, priorities, bool(gic.enables >> G1NS & 1),
        bool(cpu.enables >> G1NS & 1), cpu.pmr, private.active | spis.active, cpu.awake, routed,
    )  # fmt: skip
