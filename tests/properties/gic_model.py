"""A second GICv3, written from the rules of IHI 0069 as plainly as can be: an object for each interrupt, a search for
each answer, a stack of active priorities. It shares nothing with the one that it checks."""

from dataclasses import dataclass, field

SECURE_0, SECURE_1, NS_1 = "G0", "G1S", "G1NS"
SPURIOUS = 1023
IDLE = 255


@dataclass
class Interrupt:
    """One interrupt; ``owner`` is the PE of an SGI or PPI, None for an SPI."""

    intid: int
    owner: int | None
    group: str = SECURE_0
    enabled: bool = False
    latched: bool = False
    line: bool = False
    message: bool = False
    active: bool = False
    edge: bool = False
    priority: int = 0
    target: int | None = 0  # SPI: the PE of its affinity, None = a PE that is not there
    any_pe: bool = False

    @property
    def pending(self) -> bool:
        """Level-sensitive: pending while the line is high, or software made it so; edge-triggered: latched."""
        if self.latched:
            return True
        return (self.line or self.message) and not self.edge


@dataclass
class Pe:
    """The CPU interface of a PE. ``stack`` holds (group priority, group) of what is active, the most urgent last."""

    awake: bool = False
    mask: int = 0
    point0: int = 2
    point1_secure: int = 2
    point1_ns: int = 3
    common_secure: bool = False
    common_ns: bool = False
    split_secure: bool = False
    split_ns: bool = False
    split_el3: bool = False
    enabled: set[str] = field(default_factory=set)
    stack: list[tuple[int, str]] = field(default_factory=list)


class GicModel:
    """The GIC of ``pes`` PEs."""

    def __init__(self, pes: int, spis: int) -> None:
        self.pes = [Pe() for _ in range(pes)]
        self.groups: set[str] = set()
        self.spis = [Interrupt(32 + index, None) for index in range(spis)]
        self.private = [[Interrupt(intid, pe, edge=intid < 16) for intid in range(32)] for pe in range(pes)]

    def find(self, pe: int, intid: int) -> Interrupt | None:
        """The interrupt of this number for a PE."""
        if intid < 32:
            return self.private[pe][intid]
        return self.spis[intid - 32] if intid - 32 < len(self.spis) else None

    # -- inputs
    def line(self, interrupt: Interrupt, level: bool) -> None:
        """The peripheral drives its line."""
        if interrupt.edge and level and not interrupt.line:
            interrupt.latched = True
        interrupt.line = level

    def message(self, interrupt: Interrupt, level: bool) -> None:
        """GICD_SETSPI, GICD_CLRSPI."""
        if not level:
            interrupt.message = interrupt.latched = False
        elif interrupt.edge:
            interrupt.latched = True
        else:
            interrupt.message = True

    def sgi(self, targets: list[int], intid: int, kind: str, ns: bool) -> None:
        """An SGI is sent only where it is configured for the group that is asked for, and never to Secure from NS."""
        asked = {("SGI1", True): {NS_1}, ("SGI1", False): {SECURE_1, SECURE_0}, ("ASGI1", False): {NS_1}}
        asked["SGI0", False] = {SECURE_0}
        for target in targets:
            interrupt = self.private[target][intid]
            if interrupt.group in asked.get((kind, ns), set()):
                interrupt.latched = True

    # -- which interrupt a PE is shown
    def goes_to(self, interrupt: Interrupt, pe: int) -> bool:
        """Routing: the owner; the affinity; or of 1 of N, the first PE that is awake and has the group enabled."""
        if interrupt.owner is not None:
            return interrupt.owner == pe
        if not interrupt.any_pe:
            return interrupt.target == pe
        able = [index for index, it in enumerate(self.pes) if it.awake and interrupt.group in it.enabled]
        return bool(able) and able[0] == pe

    def highest(self, pe: int) -> Interrupt | None:
        """The highest priority pending interrupt of a PE."""
        if not self.pes[pe].awake:
            return None
        shown = [
            it
            for it in self.private[pe] + self.spis
            if it.pending and it.enabled and not it.active and it.group in self.groups & self.pes[pe].enabled
            if self.goes_to(it, pe)
        ]
        return min(shown, key=lambda it: (it.priority, it.intid), default=None)

    def group_priority(self, pe: int, interrupt: Interrupt) -> int:
        """The priority without its subpriority field."""
        it = self.pes[pe]
        subpriority_bits = it.point0 + 1
        if interrupt.group == SECURE_1 and not it.common_secure:
            subpriority_bits = it.point1_secure + 1
        if interrupt.group == NS_1 and not it.common_ns:
            subpriority_bits = it.point1_ns
        return interrupt.priority // 2**subpriority_bits * 2**subpriority_bits

    def running(self, pe: int) -> int:
        """The running priority."""
        return self.pes[pe].stack[-1][0] if self.pes[pe].stack else IDLE

    def sufficient(self, pe: int) -> Interrupt | None:
        """The pending interrupt if it may be signalled: above the mask, and preempting what is active."""
        it = self.highest(pe)
        if it is None or it.priority >= self.pes[pe].mask:
            return None
        return it if self.group_priority(pe, it) < self.running(pe) else None

    def signals(self, pe: int) -> int:
        """The exceptions that are asserted."""
        it = self.sufficient(pe)
        return 0 if it is None else {SECURE_0: 1, SECURE_1: 2, NS_1: 4}[it.group]

    # -- the CPU interface; ``who`` is "S" (S-EL1), "NS" or "EL3"
    def shown(self, it: Interrupt | None, number: int, who: str) -> int:
        """The INTID that IAR<number> or HPPIR<number> gives for a pending interrupt."""
        if it is None:
            return SPURIOUS
        if number == 0:
            return {SECURE_0: it.intid, SECURE_1: 1020, NS_1: 1021}[it.group]
        mine = {"S": {SECURE_1}, "NS": {NS_1}, "EL3": {SECURE_1, NS_1}}[who]
        return it.intid if it.group in mine else SPURIOUS

    def acknowledge(self, pe: int, number: int, who: str) -> int:
        """IAR<number>."""
        it = self.sufficient(pe)
        intid = self.shown(it, number, who)
        if it is not None and intid < 1020:
            self.pes[pe].stack.append((self.group_priority(pe, it), it.group))
            it.active, it.latched = True, False
        return intid

    def end(self, pe: int, intid: int, number: int, who: str) -> None:
        """EOIR<number>."""
        interface, it = self.pes[pe], self.find(pe, intid)
        if it is None or not interface.stack:
            return
        group = interface.stack[-1][1]
        groups = {"S": {SECURE_1}, "NS": {NS_1}, "EL3": {SECURE_1, NS_1}}[who] if number else {SECURE_0}
        if group not in groups:
            return
        interface.stack.pop()
        if not self.split(pe, who) and it.group == group:
            it.active = False

    def split(self, pe: int, who: str) -> bool:
        """EOImode of who writes."""
        it = self.pes[pe]
        return {"S": it.split_secure, "NS": it.split_ns, "EL3": it.split_el3}[who]

    def deactivate(self, pe: int, intid: int, who: str) -> None:
        """DIR."""
        it = self.find(pe, intid)
        groups = {"S": {SECURE_1, NS_1}, "NS": {NS_1}, "EL3": {SECURE_0, SECURE_1, NS_1}}[who]
        if it is not None and self.split(pe, who) and it.group in groups:
            it.active = False
