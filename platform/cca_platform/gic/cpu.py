"""The CPU interface of one PE: pending and acknowledged interrupts, and the state of its ICC registers."""

from typing import TYPE_CHECKING, Final

from cca_arch.gic import FIRST_SPECIAL, FIRST_SPI, SPURIOUS
from cca_arch.sysregs import Encoding
from cca_platform.engine.icc import place
from cca_platform.gic.interrupts import Interrupts, InterruptsState
from cca_platform.gic.priorities import (
    CBPR,
    EOIMODE,
    G0,
    G1NS,
    G1S,
    IDLE,
    MIN_BPR,
    PRIORITY_MASK,
    group_mask,
    highest_active,
    level_bit,
    ns_read,
    ns_write,
)
from cca_platform.gic.sysregs import access
from cca_platform.gic.virtual import VirtualInterface, VirtualState
from cca_platform.memory.words import words
from cca_platform.native.block import SIGNAL_G0, SIGNAL_G1NS, SIGNAL_G1S
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.gic.gic import Gic

__all__ = ["CpuInterface", "CpuState"]

_FOR_SECURE, _FOR_NS = FIRST_SPECIAL, FIRST_SPECIAL + 1  # EL3 reads these if the interrupt is for another state
_SPECIAL: Final = range(FIRST_SPECIAL, SPURIOUS + 1)
_SIGNALS: Final = {G0: SIGNAL_G0, G1S: SIGNAL_G1S, G1NS: SIGNAL_G1NS}
_SGIS: Final = 0xFFFF
_KEPT: Final = 64


class CpuState(State, frozen=True, tag="gic.cpu/1"):
    """The CPU interface of one PE, with its private interrupts; the fields are those of :class:`CpuInterface`."""

    interrupts: InterruptsState
    awake: bool
    pmr: int
    bpr0: int
    bpr1: tuple[int, ...]
    control: tuple[int, ...]
    el3_eoimode: int
    enables: int
    active: tuple[int, ...]
    virtual: VirtualState


class CpuInterface:
    """CPU interface, SGIs and PPIs of one PE.

    ``control``, ``bpr1`` and the Group 1 bits of ``enables`` are banked by security state: index or bit 0 Secure (S),
    1 Non-secure (NS). Realm state is Non-secure to the GIC. ``saved`` is what ``save`` returned since the last change,
    or None. ``values`` are what ``keep`` got since: for each register, a number of the access and the value.
    """

    awake: bool  # GICR_WAKER
    pmr: int
    bpr0: int
    bpr1: list[int]
    control: list[int]  # ICC_CTLR_EL1: CBPR and EOIMODE
    el3_eoimode: int  # ICC_CTLR_EL3.EOImode_EL3, as EOIMODE
    enables: int  # ICC_IGRPEN: bit G0, G1S, G1NS
    active: list[int]  # ICC_AP0R0, and ICC_AP1R0 of both states, by group
    intid: int  # the highest priority pending interrupt, -1 = none
    priority: int
    group: int
    saved: CpuState | None

    def __init__(self, gic: "Gic", index: int, affinity: int) -> None:
        self.gic = gic
        self.index = index
        self.affinity = affinity
        self.interrupts = Interrupts(0, FIRST_SPI, edge_only=_SGIS)
        self.virtual = VirtualInterface(self)
        self.values = words(2 * _KEPT)
        self._kept: set[int] = set()
        self.signals = 0
        self.reset()

    def reset(self) -> None:
        """Reset every register; the redistributor sleeps. ``Gic.update_all`` must follow."""
        self.interrupts.reset()
        self.awake = False
        self.intid, self.priority, self.group = -1, 0, 0
        self.saved = None
        self._reset_registers()

    def _reset_registers(self) -> None:
        self.pmr = 0
        self.bpr0 = MIN_BPR
        self.bpr1 = [MIN_BPR, MIN_BPR + 1]
        self.control = [0, 0]
        self.el3_eoimode = 0
        self.enables = 0
        self.active = [0, 0, 0]
        self.virtual.reset()

    def power_off(self) -> None:
        """Reset the ICC and ICH registers with the PE; the redistributor keeps the state of its interrupts."""
        self._reset_registers()
        self.virtual.update()
        self.gic.update_all()

    # -- system registers ---------------------------------------------------------------------------------------------
    def read(self, encoding: Encoding, el: int, security: int, hcr: int) -> int:
        """MRS of a GIC register with HCR_EL2 ``hcr``; UNDEFINED or TRAP_EL2 if negative."""
        return access(self, encoding, el, security, hcr, None)

    def write(self, encoding: Encoding, value: int, el: int, security: int, hcr: int) -> int:
        """MSR of a GIC register; 0, UNDEFINED or TRAP_EL2."""
        return access(self, encoding, el, security, hcr, value)

    def keep(self, what: int, value: int) -> None:
        """Keep what a register has answered until something changes; ``what`` is the number of the access.

        No other access to a register with the same encoding, or to another one in its place, has this number.
        """
        at = place(what)
        self.values[at], self.values[at + 1] = what, value - (value >> 63 << 64)
        self._kept.add(at)

    # -- signals ------------------------------------------------------------------------------------------------------
    def present(self, intid: int, priority: int, group: int) -> None:
        """Set the highest priority pending interrupt (-1: none)."""
        self.intid, self.priority, self.group = intid, priority, group
        self.signal()

    def can_preempt(self) -> bool:
        """True if the pending interrupt passes the priority mask and the running priority."""
        if self.intid < 0 or self.priority >= self.pmr:
            return False
        mask = group_mask(self.binary_point(self.group))
        return (self.priority & mask) < self.running_priority()

    def signal(self) -> None:
        """Recompute the signals after a change, and tell the PE if they have changed."""
        self.saved = None
        while self._kept:
            self.values[self._kept.pop()] = 0
        physical = _SIGNALS[self.group] if self.intid >= 0 and self.can_preempt() else 0
        signals = physical | self.virtual.signals
        if signals != self.signals:
            self.signals = signals
            self.gic.on_signals(self.index, signals)

    # -- priorities ---------------------------------------------------------------------------------------------------
    def running_priority(self) -> int:
        """The group priority of the highest-priority active interrupt, or IDLE."""
        return highest_active(self.active[G0] | self.active[G1S] | self.active[G1NS])

    def binary_point(self, group: int) -> int:
        """The binary point of a group, in the format of ICC_BPR0_EL1."""
        if group == G0 or self.control[group == G1NS] & CBPR:
            return self.bpr0
        return self.bpr1[1] - 1 if group == G1NS else self.bpr1[0]

    # -- acknowledge and end of interrupt -----------------------------------------------------------------------------
    def pending_for(self, group1: bool, el: int, ns: int) -> int:
        """The INTID in ICC_HPPIR0 or ICC_HPPIR1; SPURIOUS for an interrupt of another group."""
        if self.intid < 0:
            return SPURIOUS
        if group1:
            visible = self.group == G1S + ns or (el == 3 and self.group == G1NS)
            return self.intid if visible else SPURIOUS
        if self.group == G0:
            return self.intid
        return _FOR_NS if self.group == G1NS else _FOR_SECURE

    def acknowledge(self, group1: bool, el: int, ns: int) -> int:
        """ICC_IAR: activate the pending interrupt and return its INTID."""
        if not self.can_preempt():
            return SPURIOUS
        intid = self.pending_for(group1, el, ns)
        if intid not in _SPECIAL:
            mask = group_mask(self.binary_point(self.group))
            self.active[self.group] |= level_bit(self.priority & mask)
            self.gic.activate(self, intid)
        return intid

    def end(self, intid: int, group1: bool, el: int, ns: int) -> None:
        """ICC_EOIR: drop the running priority, and deactivate unless that is split (EOImode).

        Ignored unless the running priority is of an interrupt of this group and state (CONSTRAINED UNPREDICTABLE).
        """
        running = self.running_priority()
        if self.gic.interrupts_of(self, intid) is None or running == IDLE:
            return
        bit = level_bit(running)
        group = next(group for group in (G0, G1S, G1NS) if self.active[group] & bit)
        permitted = (group != G0 and (group == G1S + ns or el == 3)) if group1 else group == G0
        if not permitted:
            return
        self.active[group] &= ~bit
        self.gic.touch()
        if not self.eoi_is_split(el, ns):
            self.gic.deactivate(self, intid, 1 << group)
        self.signal()

    def eoi_is_split(self, el: int, ns: int) -> bool:
        """EOImode of this level: EOIR only drops the priority, DIR deactivates."""
        return bool((self.el3_eoimode if el == 3 else self.control[ns]) & EOIMODE)

    def deactivate(self, intid: int, el: int, ns: int) -> None:
        """ICC_DIR: Non-secure state deactivates its own interrupts, S-EL1 those of Group 1, EL3 all."""
        if self.eoi_is_split(el, ns):
            groups = 1 << G1NS if ns and el < 3 else 1 << G1NS | 1 << G1S
            self.gic.deactivate(self, intid, groups | (1 << G0 if el == 3 else 0))

    # -- registers ----------------------------------------------------------------------------------------------------
    def read_pmr(self, secure_view: bool) -> int:
        """ICC_PMR_EL1; Non-secure software sees the lower half of the priorities."""
        return self.pmr if secure_view else ns_read(self.pmr)

    def write_pmr(self, value: int, secure_view: bool) -> None:
        """Write ICC_PMR_EL1; ignored from Non-secure state while the mask is in the Secure half."""
        if secure_view:
            self.pmr = value & PRIORITY_MASK
        elif self.pmr & 0x80:
            self.pmr = ns_write(value & 0xFF)
        self.changed()

    def changed(self) -> None:
        """Recompute after a change to a register that affects the pending interrupt."""
        self.gic.touch()
        self.signal()

    # -- snapshots ----------------------------------------------------------------------------------------------------
    def save(self) -> CpuState:
        """State for a snapshot; the same object until something changes."""
        if self.saved is None:
            self.saved = CpuState(
                interrupts=self.interrupts.save(),
                awake=self.awake,
                pmr=self.pmr,
                bpr0=self.bpr0,
                bpr1=tuple(self.bpr1),
                control=tuple(self.control),
                el3_eoimode=self.el3_eoimode,
                enables=self.enables,
                active=tuple(self.active),
                virtual=self.virtual.save(),
            )
        return self.saved

    def restore(self, state: CpuState) -> None:
        """Restore what ``save`` returned; ``Gic.update_all`` must follow."""
        if state is self.saved:
            return
        self.interrupts.restore(state.interrupts)
        self.awake, self.pmr, self.bpr0 = state.awake, state.pmr, state.bpr0
        self.el3_eoimode, self.enables = state.el3_eoimode, state.enables
        self.bpr1, self.control, self.active = list(state.bpr1), list(state.control), list(state.active)
        self.virtual.restore(state.virtual)
