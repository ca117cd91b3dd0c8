"""The virtual CPU interface and its model side by side: what hypervisor and VM can do, and what must hold."""

from typing import Any

from gic_virtual_model import ListRegister, VirtualModel, number
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cca_platform.gic import Gic

__all__ = ["INTIDS", "PHYSICAL", "PRIORITIES", "STATES", "VirtualMachine"]

IMO_FMO = 0x18
NS, REALM = 1, 3
PHYSICAL = (27, 40, 555)  # the last one is not there
INTIDS = (0, 27, 40, 8192, 1021)
PRIORITIES = (0, 0x20, 0x28, 0x30, 0x80, 0xA0, 0xF8)
STATES = (0, 1, 1, 1, 2, 3)
ich = {
    "AP0R0": (3, 4, 12, 8, 0), "AP1R0": (3, 4, 12, 9, 0), "HCR": (3, 4, 12, 11, 0), "MISR": (3, 4, 12, 11, 2),
    "EISR": (3, 4, 12, 11, 3), "ELRSR": (3, 4, 12, 11, 5), "VMCR": (3, 4, 12, 11, 7),
    **{f"LR{index}": (3, 4, 12, 12, index) for index in range(4)},
}  # fmt: skip
icv = {
    "PMR": (3, 0, 4, 6, 0), "IAR0": (3, 0, 12, 8, 0), "EOIR0": (3, 0, 12, 8, 1), "HPPIR0": (3, 0, 12, 8, 2),
    "BPR0": (3, 0, 12, 8, 3), "AP0R0": (3, 0, 12, 8, 4), "AP1R0": (3, 0, 12, 9, 0), "DIR": (3, 0, 12, 11, 1),
    "RPR": (3, 0, 12, 11, 3), "IAR1": (3, 0, 12, 12, 0), "EOIR1": (3, 0, 12, 12, 1), "HPPIR1": (3, 0, 12, 12, 2),
    "BPR1": (3, 0, 12, 12, 3), "CTLR": (3, 0, 12, 12, 4), "IGRPEN0": (3, 0, 12, 12, 6), "IGRPEN1": (3, 0, 12, 12, 7),
}  # fmt: skip

groups = st.sampled_from((0, 1, 1))
registers = st.builds(
    ListRegister, intid=st.sampled_from(INTIDS), state=st.sampled_from(STATES), group=groups,
    priority=st.sampled_from(PRIORITIES), hardware=st.booleans(), ask_eoi=st.booleans(),
    physical=st.sampled_from(PHYSICAL),
)  # fmt: skip


class VirtualMachine(RuleBasedStateMachine):
    """The virtual interface of one of two PEs and its model side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.told = [0, 0]
        self.gic = Gic((0, 1), 32, self.told.__setitem__)
        self.cpu = self.gic.cpus[1]
        self.model = VirtualModel()
        self.snapshot: Any = None

    def hyp_write(self, register: str, value: int) -> None:
        assert self.cpu.write(ich[register], value, 2, NS, IMO_FMO) == 0

    def hyp_read(self, register: str) -> int:
        return self.cpu.read(ich[register], 2, NS, IMO_FMO)

    def write(self, register: str, value: int) -> None:
        assert self.cpu.write(icv[register], value, 1, REALM, IMO_FMO) == 0

    def read(self, register: str) -> int:
        return self.cpu.read(icv[register], 1, REALM, IMO_FMO)

    @initialize(filled=st.lists(registers, min_size=4, max_size=4))
    def start(self, filled: list[ListRegister]) -> None:
        """A VM that takes interrupts, with some; the physical ones behind them belong to the Non-secure world."""
        self.gic.secure_redistributors.write(0x3_0080, 4, 0xFFFF_FFFF)
        self.gic.secure_distributor.write(0x84, 4, 0xFFFF_FFFF)
        self.maintenance(1, 0, 0)
        for group in (0, 1):
            self.group_enable(group, True)
        self.mask(0xFF)
        for index, register in enumerate(filled):
            self.list_register(index, register)

    # -- the hypervisor
    @rule(index=st.integers(0, 3), register=registers)
    def list_register(self, index: int, register: ListRegister) -> None:
        self.hyp_write(f"LR{index}", register.value())
        model = self.model.registers[index] = ListRegister(**vars(register))
        if not register.hardware:
            model.physical = 0
        else:
            model.ask_eoi = False

    @rule(enabled=st.sampled_from((0, 1, 1, 1)), bits=st.integers(0, 127), count=st.sampled_from((0, 1, 31)))
    def maintenance(self, enabled: int, bits: int, count: int) -> None:
        self.hyp_write("HCR", enabled | bits << 1 | count << 27 | 0x8000 | 0x100)
        it, flags = self.model, [bool(bits >> index & 1) for index in range(7)]
        it.enabled, it.eoi_count = bool(enabled), count
        it.underflow, it.not_present, it.none_pending = flags[:3]
        it.group_changes = {name for name, on in zip(("0E", "0D", "1E", "1D"), flags[3:], strict=True) if on}

    @rule(groups=st.integers(0, 3), common=st.booleans(), split=st.booleans(), point0=st.integers(0, 7),
          point1=st.integers(0, 7), mask=st.integers(0, 255))  # fmt: skip
    def vmcr(self, groups: int, common: bool, split: bool, point0: int, point1: int, mask: int) -> None:
        self.hyp_write("VMCR", groups | common << 4 | split << 9 | point1 << 18 | point0 << 21 | mask << 24)
        it = self.model
        it.groups = {group for group in (0, 1) if groups >> group & 1}
        it.common, it.split, it.points, it.mask = common, split, [max(point0, 2), max(point1, 3)], mask // 8 * 8

    @rule()
    def no_active_priorities(self) -> None:
        self.hyp_write("AP0R0", 0)
        self.hyp_write("AP1R0", 0)
        self.model.stack.clear()

    # -- the VM
    @rule(value=st.sampled_from((0xFF, 0xFF, 0xF0, 0xA0, 0x28, 0)))
    def mask(self, value: int) -> None:
        self.write("PMR", value)
        self.model.mask = value // 8 * 8

    @rule(group=groups, value=st.integers(0, 7))
    def binary_point(self, group: int, value: int) -> None:
        self.write(f"BPR{group}", value)
        if not (group and self.model.common):
            self.model.points[group] = max(value, 2 + group)

    @rule(common=st.booleans(), split=st.booleans())
    def control(self, common: bool, split: bool) -> None:
        self.write("CTLR", common | split << 1)
        self.model.common, self.model.split = common, split

    @rule(group=groups, on=st.sampled_from((True, True, False)))
    def group_enable(self, group: int, on: bool) -> None:
        self.write(f"IGRPEN{group}", int(on))
        (self.model.groups.add if on else self.model.groups.discard)(group)

    @rule(group=groups)
    def acknowledge(self, group: int) -> None:
        assert self.read(f"IAR{group}") == self.model.acknowledge(group)

    @rule(group=groups, intid=st.sampled_from(INTIDS))
    def end(self, group: int, intid: int) -> None:
        self.write(f"EOIR{group}", intid)
        self.model.end(intid, group)
        self.check_physical()

    @precondition(lambda self: self.model.stack)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """The end of a handler: EOIR of the right group."""
        group = self.model.stack[-1][1]
        active = [it.intid for it in self.model.registers if it.state & 2 and it.group == group]
        self.end(group, data.draw(st.sampled_from(active or [27])))

    @rule(intid=st.sampled_from(INTIDS))
    def deactivate(self, intid: int) -> None:
        self.write("DIR", intid)
        self.model.deactivate(intid)
        self.check_physical()

    def physical(self, intid: int) -> tuple[Any, int, int]:
        """The frame, the offset of ISACTIVER and the bit of a physical interrupt."""
        if intid < 32:
            return self.gic.secure_redistributors, 0x3_0300, 1 << intid
        return self.gic.secure_distributor, 0x300 + intid // 32 * 4, 1 << intid % 32

    def check_physical(self) -> None:
        """The interrupts behind list registers with HW are active until the VM deactivates them."""
        for intid in PHYSICAL:
            frame, at, bit = self.physical(intid)
            if intid in self.model.deactivated:
                assert not frame.read(at, 4) & bit
            frame.write(at, 4, bit)
        self.model.deactivated.clear()

    # -- snapshots
    @rule()
    def save(self) -> None:
        self.snapshot = self.gic.save(), self.model.copy()

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def restore(self) -> None:
        self.gic.restore(self.snapshot[0])
        self.model = self.snapshot[1].copy()

    # -- what must always hold
    @invariant()
    def same_signals(self) -> None:
        assert self.told == [0, self.model.signals()]

    @invariant()
    def same_view(self) -> None:
        assert self.read("RPR") == self.model.running()
        assert self.read("PMR") == self.model.mask
        assert self.read("CTLR") & 3 == number([self.model.common, self.model.split])
        point0, point1 = self.model.points
        assert self.read("BPR0") == point0
        assert self.read("BPR1") == (min(point0 + 1, 7) if self.model.common else point1)
        for group in (0, 1):
            assert self.read(f"HPPIR{group}") == self.model.shown(group)
            assert self.read(f"IGRPEN{group}") == (group in self.model.groups)
            bits = {priority // 8 for priority, owner in self.model.stack if owner == group}
            assert self.read(f"AP{group}R0") == self.hyp_read(f"AP{group}R0") == sum(1 << bit for bit in bits)

    @invariant()
    def same_hyp_state(self) -> None:
        it = self.model
        assert [self.hyp_read(f"LR{index}") for index in range(4)] == [register.value() for register in it.registers]
        assert self.hyp_read("HCR") == it.control()
        assert self.hyp_read("VMCR") == it.vmcr()
        assert self.hyp_read("EISR") == number(it.ended())
        assert self.hyp_read("ELRSR") == number(it.free())
        assert self.hyp_read("MISR") == number(it.maintenance())
        line = self.gic.secure_redistributors.read(0x3_0200, 4) >> 25 & 1
        assert line == (it.enabled and any(it.maintenance()))
