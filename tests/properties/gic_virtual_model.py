"""A second virtual CPU interface, written from the rules of IHI 0069 (ICH and ICV registers) as plainly as can be."""

from dataclasses import dataclass, field, replace

INVALID, PENDING, ACTIVE, BOTH = range(4)
SPURIOUS = 1023
IDLE = 255
LPIS = 8192  # the first of them


@dataclass
class ListRegister:
    """ICH_LR<n>_EL2; with ``hardware``, ``physical`` is the INTID behind it."""

    intid: int = 0
    state: int = INVALID
    group: int = 0
    priority: int = 0
    hardware: bool = False
    ask_eoi: bool = False
    physical: int = 0

    def value(self) -> int:
        """As the register reads."""
        low = self.physical if self.hardware else self.ask_eoi << 9
        return self.state << 62 | self.hardware << 61 | self.group << 60 | self.priority << 48 | low << 32 | self.intid


@dataclass
class VirtualModel:
    """ICH state; ``stack`` holds (group priority, group) of what is active, the most urgent last."""

    enabled: bool = False
    underflow: bool = False
    not_present: bool = False
    none_pending: bool = False
    group_changes: set[str] = field(default_factory=set)  # of "0E", "0D", "1E", "1D"
    eoi_count: int = 0
    groups: set[int] = field(default_factory=set)
    common: bool = False
    split: bool = False
    points: list[int] = field(default_factory=lambda: [2, 3])
    mask: int = 0
    registers: list[ListRegister] = field(default_factory=lambda: [ListRegister() for _ in range(4)])
    stack: list[tuple[int, int]] = field(default_factory=list)
    deactivated: list[int] = field(default_factory=list)  # physical INTIDs

    def group_priority(self, register: ListRegister) -> int:
        """The priority without its subpriority: point 0 leaves one bit off more than point 1."""
        bits = self.points[1] if register.group and not self.common else self.points[0] + 1
        return register.priority >> bits << bits

    def highest(self) -> ListRegister | None:
        """The pending list register of highest priority in an enabled group."""
        shown = [it for it in self.registers if it.state == PENDING and it.group in self.groups]
        return min(shown, key=lambda it: it.priority, default=None) if self.enabled else None

    def running(self) -> int:
        """The running priority."""
        return self.stack[-1][0] if self.stack else IDLE

    def sufficient(self) -> ListRegister | None:
        """The one that is signalled."""
        it = self.highest()
        if it is None or it.priority >= self.mask:
            return None
        return it if self.group_priority(it) < self.running() else None

    def signals(self) -> int:
        """VIRQ for Group 1, VFIQ for Group 0."""
        it = self.sufficient()
        return 0 if it is None else 8 if it.group else 16

    def shown(self, group: int) -> int:
        """HPPIR."""
        it = self.highest()
        return it.intid if it is not None and it.group == group else SPURIOUS

    def acknowledge(self, group: int) -> int:
        """IAR."""
        it = self.sufficient()
        if it is None or it.group != group or 1020 <= it.intid <= 1023:
            return SPURIOUS
        self.stack.append((self.group_priority(it), group))
        it.state = ACTIVE if it.intid < LPIS else INVALID
        return it.intid

    def end(self, intid: int, group: int) -> None:
        """EOIR: the priority drops; without EOImode, or for an LPI, the list register that matches is deactivated."""
        if 1020 <= intid <= 1023 or not self.stack or self.stack[-1][1] != group:
            return
        priority, _ = self.stack.pop()
        if not self.split or intid >= LPIS:
            it = self.active(intid)
            if it is None:
                self._count(intid)
            elif it.group == group and self.group_priority(it) == priority:
                self._deactivate(it)

    def deactivate(self, intid: int) -> None:
        """DIR, with EOImode."""
        if self.split and not 1020 <= intid <= 1023:
            it = self.active(intid)
            if it is None:
                self._count(intid)
            else:
                self._deactivate(it)

    def _count(self, intid: int) -> None:
        """The end of an interrupt that no list register has; an LPI leaves nothing to do."""
        if intid < LPIS:
            self.eoi_count = (self.eoi_count + 1) % 32

    def active(self, intid: int) -> ListRegister | None:
        """The list register where the interrupt is active."""
        return next((it for it in self.registers if it.intid == intid and it.state in (ACTIVE, BOTH)), None)

    def _deactivate(self, it: ListRegister) -> None:
        it.state = PENDING if it.state == BOTH else INVALID
        if it.hardware:
            self.deactivated.append(it.physical)

    def ended(self) -> list[bool]:
        """EISR."""
        return [it.state == INVALID and not it.hardware and it.ask_eoi for it in self.registers]

    def free(self) -> list[bool]:
        """ELRSR."""
        return [it.state == INVALID and (it.hardware or not it.ask_eoi) for it in self.registers]

    def maintenance(self) -> list[bool]:
        """MISR, bit 0 first."""
        states = [it.state for it in self.registers]
        on = {f"{group}{'E' if group in self.groups else 'D'}" for group in (0, 1)} & self.group_changes
        return [
            any(self.ended()),
            self.underflow and sum(state != INVALID for state in states) < 2,
            self.not_present and self.eoi_count > 0,
            self.none_pending and PENDING not in states,
            *(name in on for name in ("0E", "0D", "1E", "1D")),
        ]

    def control(self) -> int:
        """ICH_HCR_EL2."""
        bits = [self.enabled, self.underflow, self.not_present, self.none_pending]
        bits += [name in self.group_changes for name in ("0E", "0D", "1E", "1D")]
        return number(bits) | self.eoi_count << 27

    def vmcr(self) -> int:
        """ICH_VMCR_EL2."""
        low = number([0 in self.groups, 1 in self.groups, False, True, self.common]) | self.split << 9
        return low | self.points[1] << 18 | self.points[0] << 21 | self.mask << 24

    def copy(self) -> "VirtualModel":
        """An equal one that shares nothing that changes."""
        return replace(
            self, group_changes=set(self.group_changes), groups=set(self.groups), points=list(self.points),
            registers=[replace(it) for it in self.registers], stack=list(self.stack), deactivated=[],
        )  # fmt: skip


def number(bits: list[bool]) -> int:
    """An integer of bits, bit 0 first."""
    return sum(bit << index for index, bit in enumerate(bits))
