"""The GIC and its model side by side: what peripherals, PEs and software in both states can do, and what must hold."""

import copy
from typing import Any

from gic_model import NS_1, SECURE_0, SECURE_1, GicModel
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cca_platform.gic import Gic

__all__ = ["GROUPS", "LEVELS", "MPIDRS", "PES", "PRIVATE", "SHARED", "WHO", "GicMachine"]

MPIDRS = (0x8100_0000, 0x8100_0100, 0x8101_0001)
AFFINITIES = tuple(mpidr & 0xFF_FFFF for mpidr in MPIDRS)
SPIS = 32
PRIVATE = (1, 9, 15, 16, 27, 31)
SHARED = (32, 33, 40, 63)
PES = (0, 0, 0, 1, 2)
LEVELS = (0x00, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x58, 0x7F, 0x80, 0x88, 0xA4, 0xFF)
GROUPS = (SECURE_0, SECURE_1, NS_1)
WHO = {"S": (1, 0), "NS": (2, 1), "EL3": (3, 0)}  # EL, security state

pes = st.sampled_from(PES)
intids = st.sampled_from(PRIVATE + SHARED)
views = st.sampled_from((True, False))
whos = st.sampled_from(tuple(WHO))
levels = st.sampled_from(LEVELS)
icc = {
    "PMR": (3, 0, 4, 6, 0), "IAR0": (3, 0, 12, 8, 0), "EOIR0": (3, 0, 12, 8, 1), "HPPIR0": (3, 0, 12, 8, 2),
    "BPR0": (3, 0, 12, 8, 3), "DIR": (3, 0, 12, 11, 1), "RPR": (3, 0, 12, 11, 3), "SGI1": (3, 0, 12, 11, 5),
    "ASGI1": (3, 0, 12, 11, 6), "SGI0": (3, 0, 12, 11, 7), "IAR1": (3, 0, 12, 12, 0), "EOIR1": (3, 0, 12, 12, 1),
    "HPPIR1": (3, 0, 12, 12, 2), "BPR1": (3, 0, 12, 12, 3), "CTLR": (3, 0, 12, 12, 4), "IGRPEN0": (3, 0, 12, 12, 6),
    "IGRPEN1": (3, 0, 12, 12, 7), "CTLR_EL3": (3, 6, 12, 12, 4),
}  # fmt: skip


class GicMachine(RuleBasedStateMachine):
    """The GIC and its model side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.told = [0] * len(MPIDRS)
        self.gic = Gic(MPIDRS, SPIS, self.told.__setitem__)
        self.model = GicModel(len(MPIDRS), SPIS)
        self.snapshot: Any = None

    # -- access to registers
    def frame(self, secure: bool, pe: int, intid: int) -> tuple[Any, int]:
        if intid < 32:
            frame = self.gic.secure_redistributors if secure else self.gic.redistributors
            return frame, pe * 0x2_0000 + 0x1_0000
        return (self.gic.secure_distributor if secure else self.gic.distributor), 0

    def write_bit(self, secure: bool, pe: int, intid: int, register: int) -> None:
        frame, base = self.frame(secure, pe, intid)
        frame.write(base + register + intid // 32 * 4, 4, 1 << intid % 32)

    def read_bit(self, secure: bool, pe: int, intid: int, register: int) -> bool:
        frame, base = self.frame(secure, pe, intid)
        return bool(frame.read(base + register + intid // 32 * 4, 4) >> intid % 32 & 1)

    def found(self, pe: int, intid: int, secure: bool = True) -> Any:
        """The model's interrupt, if this view may change it."""
        it = self.model.find(pe, intid)
        assert it is not None
        return it if secure or it.group == NS_1 else None

    def write(self, pe: int, who: str, register: str, value: int) -> int:
        el, security = WHO[who]
        return self.gic.cpus[pe].write(icc[register], value, el, security, 0)

    def read(self, pe: int, who: str, register: str) -> int:
        el, security = WHO[who]
        return self.gic.cpus[pe].read(icc[register], el, security, 0)

    # -- a state where things happen
    @initialize(
        kinds=st.lists(
            st.tuples(st.sampled_from(GROUPS + (NS_1,) * 3), st.booleans(), levels), min_size=10, max_size=10
        ),
        controls=st.lists(st.tuples(st.integers(0, 31), st.integers(0, 6)), min_size=3, max_size=3),
        routes=st.lists(st.tuples(pes, st.booleans()), min_size=4, max_size=4),
    )
    def boot(
        self, kinds: list[tuple[str, bool, int]], controls: list[tuple[int, int]], routes: list[tuple[int, bool]]
    ) -> None:
        self.distributor_control(7, True)
        for pe in range(len(MPIDRS)):
            self.waker(pe, True, True)
            self.mask(pe, "EL3", 0xFF)
            for group in GROUPS:
                self.group_enable(pe, group, True)
            bits, point = controls[pe]
            self.binary_point(pe, "NS", point, 1)
            self.binary_point(pe, "S", point // 2, 1)
            self.control(pe, bits)
        for intid, (to, any_pe) in zip(SHARED, routes, strict=True):
            self.route(intid, True, to, any_pe, False)
        for intid, (group, edge, priority) in zip(PRIVATE + SHARED, kinds, strict=True):
            for pe in range(len(MPIDRS)) if intid < 32 else (0,):
                self.configure("edge", pe, intid, True, edge)
                self.set_group(pe, intid, group)
                self.priority(pe, intid, group != NS_1, priority)
                self.configure("enabled", pe, intid, True, True)

    # -- peripherals
    @rule(pe=pes, intid=st.sampled_from(PRIVATE[3:] + SHARED), level=st.booleans())
    def line(self, pe: int, intid: int, level: bool) -> None:
        if intid < 32:
            self.gic.set_ppi(pe, intid, level)
        else:
            self.gic.set_line(intid, level)
        self.model.line(self.found(pe, intid), level)

    @rule(intid=st.sampled_from(SHARED), level=st.booleans(), secure=views, sr=st.booleans())
    def message(self, intid: int, level: bool, secure: bool, sr: bool) -> None:
        frame, _ = self.frame(secure, 0, intid)
        frame.write((0x40 if level else 0x48) + (0x10 if sr else 0), 4, intid)
        it = self.found(0, intid, secure)
        if it is not None and (secure or not sr):
            self.model.message(it, level)

    # -- distributor and redistributors
    @rule(kind=st.sampled_from(("enabled", "latched", "active", "edge")), pe=pes, intid=intids, secure=views,
          on=st.booleans())  # fmt: skip
    def configure(self, kind: str, pe: int, intid: int, secure: bool, on: bool) -> None:
        """ISENABLER, ISPENDR, ISACTIVER and the registers that clear; ICFGR."""
        it = self.found(pe, intid, secure)
        if kind == "edge":
            frame, base = self.frame(secure, pe, intid)
            at, bit = base + 0xC00 + intid // 16 * 4, 2 << 2 * (intid % 16)
            frame.write(at, 4, frame.read(at, 4) & ~bit | bit * on)
        else:
            register = {"enabled": 0x100, "latched": 0x200, "active": 0x300}[kind]
            self.write_bit(secure, pe, intid, register if on else register + 0x80)
        if it is not None and (kind != "edge" or intid >= 16):
            setattr(it, kind, on)

    @rule(pe=pes, intid=intids, secure=views, value=levels)
    def priority(self, pe: int, intid: int, secure: bool, value: int) -> None:
        frame, base = self.frame(secure, pe, intid)
        frame.write(base + 0x400 + intid, 1, value)
        it = self.found(pe, intid, secure)
        if it is not None:
            it.priority = (value if secure else 128 + value // 2) // 8 * 8

    @rule(pe=pes, intid=intids, group=st.sampled_from(GROUPS))
    def set_group(self, pe: int, intid: int, group: str) -> None:
        frame, base = self.frame(True, pe, intid)
        for register, on in ((0x80, group == NS_1), (0xD00, group == SECURE_1)):
            at = base + register + intid // 32 * 4
            frame.write(at, 4, frame.read(at, 4) & ~(1 << intid % 32) | on << intid % 32)
        self.found(pe, intid).group = group

    @rule(intid=st.sampled_from(SHARED), secure=views, to=st.sampled_from((*range(len(MPIDRS)), None)),
          any_pe=st.booleans(), halves=st.booleans())  # fmt: skip
    def route(self, intid: int, secure: bool, to: int | None, any_pe: bool, halves: bool) -> None:
        frame, _ = self.frame(secure, 0, intid)
        value = (0x55 if to is None else AFFINITIES[to]) | any_pe << 31
        if halves:
            frame.write(0x6000 + 8 * intid, 4, value)
            frame.write(0x6004 + 8 * intid, 4, 0)
        else:
            frame.write(0x6000 + 8 * intid, 8, value)
        it = self.found(0, intid, secure)
        if it is not None:
            it.target, it.any_pe = to, any_pe

    @rule(bits=st.integers(0, 7), secure=views)
    def distributor_control(self, bits: int, secure: bool) -> None:
        frame, _ = self.frame(secure, 0, 32)
        frame.write(0, 4, bits)
        ns = {NS_1} if bits & 2 else set()
        if secure:
            self.model.groups = ns | ({SECURE_0} if bits & 1 else set()) | ({SECURE_1} if bits & 4 else set())
        else:
            self.model.groups = self.model.groups - {NS_1} | ns

    @rule(pe=pes, awake=st.sampled_from((True, True, False)), secure=views)
    def waker(self, pe: int, awake: bool, secure: bool) -> None:
        frame, _ = self.frame(secure, pe, 0)
        frame.write(pe * 0x2_0000 + 0x14, 4, 0 if awake else 2)
        if secure:
            self.model.pes[pe].awake = awake

    # -- CPU interfaces
    @rule(pe=pes, who=whos, value=st.sampled_from((0xFF, 0xF0, 0xA0, 0x80, 0x40, 0)))
    def mask(self, pe: int, who: str, value: int) -> None:
        assert self.write(pe, who, "PMR", value) == 0
        it = self.model.pes[pe]
        if who != "NS":
            it.mask = value // 8 * 8
        elif it.mask >= 128:
            it.mask = (128 + value // 2) // 8 * 8

    @rule(pe=pes, who=whos, value=st.integers(0, 7), number=st.sampled_from((0, 1)))
    def binary_point(self, pe: int, who: str, value: int, number: int) -> None:
        it = self.model.pes[pe]
        answer = self.write(pe, who, f"BPR{number}", value)
        if number == 0:
            assert answer == (0 if who == "EL3" else -1)
            if who == "EL3":
                it.point0 = max(value, 2)
        elif who == "NS":
            if not it.common_ns:
                it.point1_ns = max(value, 3)
        elif who == "S" and it.common_secure:
            it.point0 = max(value, 2)
        else:
            it.point1_secure = max(value, 2)

    @rule(pe=pes, group=st.sampled_from(GROUPS), on=st.sampled_from((True, True, False)))
    def group_enable(self, pe: int, group: str, on: bool) -> None:
        who, register = {SECURE_0: ("EL3", "IGRPEN0"), SECURE_1: ("S", "IGRPEN1"), NS_1: ("NS", "IGRPEN1")}[group]
        assert self.write(pe, who, register, int(on)) == 0
        (self.model.pes[pe].enabled.add if on else self.model.pes[pe].enabled.discard)(group)

    @rule(pe=pes, who=st.sampled_from(("S", "NS", "NS")), split=st.booleans())
    def eoi_mode(self, pe: int, who: str, split: bool) -> None:
        self.write(pe, who, "CTLR", split << 1 | 1)
        setattr(self.model.pes[pe], f"split_{'secure' if who == 'S' else 'ns'}", split)

    @rule(pe=pes, bits=st.integers(0, 31))
    def control(self, pe: int, bits: int) -> None:
        self.write(pe, "EL3", "CTLR_EL3", bits)
        it = self.model.pes[pe]
        names = ("common_secure", "common_ns", "split_el3", "split_secure", "split_ns")
        for index, name in enumerate(names):
            setattr(it, name, bool(bits >> index & 1))

    @rule(pe=pes, intid=st.sampled_from((1, 9, 15)), kind=st.sampled_from(("SGI1", "SGI1", "ASGI1", "SGI0")), who=whos,
          to=st.sampled_from((None, 0, 1, 2, 3)))  # fmt: skip
    def sgi(self, pe: int, intid: int, kind: str, who: str, to: int | None) -> None:
        affinity = 0xFF_FF02 if to == 3 else AFFINITIES[to or 0]  # 3: nobody
        targets = [index for index in range(len(MPIDRS)) if index == to or (to is None and index != pe)]
        value = intid << 24 | (affinity >> 16) << 32 | (affinity >> 8 & 0xFF) << 16 | 1 << (affinity & 15)
        assert self.write(pe, who, kind, value | (to is None) << 40) == 0
        self.model.sgi(targets, intid, kind, who == "NS")

    @rule(pe=pes, who=whos, number=st.sampled_from((0, 1, 1, 1)))
    def acknowledge(self, pe: int, who: str, number: int) -> None:
        intid = self.read(pe, who, f"IAR{number}")
        assert intid == (self.model.acknowledge(pe, number, who) if number or who == "EL3" else -1)

    def take(self, pe: int) -> None:
        """What software does on an interrupt."""
        number, who = {1: (0, "EL3"), 2: (1, "S"), 4: (1, "NS")}[self.told[pe]]
        self.acknowledge(pe, who, number)

    @precondition(lambda self: any(self.told))
    @rule(data=st.data())
    def take_one(self, data: st.DataObject) -> None:
        """One PE takes its interrupt."""
        self.take(data.draw(st.sampled_from([pe for pe, signals in enumerate(self.told) if signals])))

    @rule(pe=pes, interrupts=st.lists(intids, max_size=5))
    def nest(self, pe: int, interrupts: list[int]) -> None:
        """Interrupts come one by one; those that may are taken at once."""
        for intid in interrupts:
            self.configure("latched", pe, intid, True, True)
            if self.told[pe]:
                self.take(pe)

    @rule(pe=pes, who=whos, number=st.sampled_from((0, 1, 1, 1)), intid=st.sampled_from((*PRIVATE, *SHARED, 90, 1023)))
    def end(self, pe: int, who: str, number: int, intid: int) -> None:
        answer = self.write(pe, who, f"EOIR{number}", intid)
        if number or who == "EL3":
            assert answer == 0
            self.model.end(pe, intid, number, who)
        else:
            assert answer == -1

    @precondition(lambda self: any(it.stack for it in self.model.pes))
    @rule(data=st.data(), deactivate=st.booleans(), mistaken=st.sampled_from((False, False, False, True)))
    def finish(self, data: st.DataObject, deactivate: bool, mistaken: bool) -> None:
        """What software does at the end of a handler; mistaken, it names an interrupt of another group."""
        pe = data.draw(st.sampled_from([pe for pe, it in enumerate(self.model.pes) if it.stack]))
        group = self.model.pes[pe].stack[-1][1]
        who = {SECURE_0: "EL3", SECURE_1: "S", NS_1: "NS"}[group]
        mine = self.model.private[pe] + self.model.spis
        candidates = [it.intid for it in mine if it.active and (it.group == group) != mistaken] or [1]
        intid = data.draw(st.sampled_from(candidates))
        self.end(pe, who, 0 if group == SECURE_0 else 1, intid)
        if deactivate:
            self.deactivate(pe, who, intid)

    @rule(pe=pes, who=whos, data=st.data())
    def deactivate_one(self, pe: int, who: str, data: st.DataObject) -> None:
        """DIR of anything that is active, or of nothing."""
        active = [it.intid for it in self.model.private[pe] + self.model.spis if it.active]
        self.deactivate(pe, who, data.draw(st.sampled_from((*active, 16, 90, 1023))))

    def deactivate(self, pe: int, who: str, intid: int) -> None:
        assert self.write(pe, who, "DIR", intid) == 0
        self.model.deactivate(pe, intid, who)

    # -- snapshots
    @rule()
    def save(self) -> None:
        self.snapshot = self.gic.save(), copy.deepcopy(self.model)
        assert self.gic.save() is self.snapshot[0]

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def restore(self) -> None:
        state, model = self.snapshot
        self.gic.restore(state)
        self.model = copy.deepcopy(model)
        assert self.gic.save() == state

    # -- what must always hold
    @invariant()
    def same_signals(self) -> None:
        assert self.told == [self.model.signals(pe) for pe in range(len(MPIDRS))]

    @invariant()
    def same_interfaces(self) -> None:
        for pe in range(len(MPIDRS)):
            pending, running, mask = self.model.highest(pe), self.model.running(pe), self.model.pes[pe].mask
            for who in WHO:
                assert self.read(pe, who, "HPPIR1") == self.model.shown(pending, 1, who)
                hidden = who == "NS"
                assert self.read(pe, who, "RPR") == (running if not hidden or running == 255 else ns_view(running))
                assert self.read(pe, who, "PMR") == (ns_view(mask) if hidden else mask)
            assert self.read(pe, "EL3", "HPPIR0") == self.model.shown(pending, 0, "EL3")
            it = self.model.pes[pe]
            flags = (it.common_secure, it.common_ns, it.split_el3, it.split_secure, it.split_ns)
            assert self.read(pe, "EL3", "CTLR_EL3") & 31 == sum(on << bit for bit, on in enumerate(flags))
            assert self.read(pe, "NS", "CTLR") & 3 == it.common_ns | it.split_ns << 1

    @invariant()
    def same_state(self) -> None:
        interrupts = [(pe, intid) for pe in range(len(MPIDRS)) for intid in PRIVATE] + [(0, intid) for intid in SHARED]
        for pe, intid in interrupts:
            it = self.model.find(pe, intid)
            assert it is not None
            for secure in (True, False):
                seen = secure or it.group == NS_1
                assert self.read_bit(secure, pe, intid, 0x100) == (seen and it.enabled)
                assert self.read_bit(secure, pe, intid, 0x280) == (seen and it.pending)
                assert self.read_bit(secure, pe, intid, 0x380) == (seen and it.active)
            frame, base = self.frame(False, pe, intid)
            assert frame.read(base + 0x400 + intid, 1) == (it.priority * 2 % 256 if it.group == NS_1 else 0)


def ns_view(priority: int) -> int:
    """The Non-secure half of the priorities, as software there sees it."""
    return 0 if priority < 128 else (priority - 128) * 2
