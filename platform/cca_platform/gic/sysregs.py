"""The system registers of the CPU interface: a row each, with its access rules.

At EL1 of a state with EL2, HCR_EL2.IMO and FMO turn ICC registers into the ICV ones of the virtual CPU interface, and
ICH_HCR_EL2 traps them. SCR_EL3.FIQ is assumed to be 1, as the monitor sets it in every state: Non-secure software sees
the lower half of the priorities, and Group 0 registers belong to EL3. Traps to EL3 are reported as UNDEFINED.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from cca_arch.sysregs import Encoding, Hcr, IccCtlr, IccCtlrEl3, IccIgrpen1El3, IccSre, IchHcr, IchVtr, encodings
from cca_arch.types import SecurityState
from cca_platform.gic.priorities import CBPR, EOIMODE, G0, G1NS, G1S, MIN_BPR, PRIORITY_BITS, ns_read
from cca_platform.gic.virtual import LIST_REGISTERS

if TYPE_CHECKING:
    from cca_platform.gic.cpu import CpuInterface
    from cca_platform.gic.virtual import VirtualInterface

__all__ = ["TRAP_EL2", "UNDEFINED", "access", "is_steady"]

UNDEFINED: Final = -1
TRAP_EL2: Final = -2

_SECURE, _ROOT = int(SecurityState.SECURE), int(SecurityState.ROOT)
_FMO, _IMO = Hcr.fmo.mask, Hcr.imo.mask
_TC, _TALL0, _TALL1, _TDIR = IchHcr.tc.mask, IchHcr.tall0.mask, IchHcr.tall1.mask, IchHcr.tdir.mask
_SRE: Final = int(IccSre.make(sre=1, dfb=1, dib=1))
_SRE_ENABLE: Final = IccSre.enable.mask
_FEATURES: Final = int(IccCtlr.make(rss=1, a3v=1, pribits=PRIORITY_BITS - 1))  # 16-bit INTIDs
_NDS: Final = IccCtlrEl3.nds.mask
_VTR: Final = int(
    IchVtr.make(
        pribits=PRIORITY_BITS - 1, prebits=PRIORITY_BITS - 1, a3v=1, nv4=1, tds=1, listregs=LIST_REGISTERS - 1
    )
)  # fmt: skip
_CBPR_S, _CBPR_NS = IccCtlrEl3.cbpr_el1s.low, IccCtlrEl3.cbpr_el1ns.low
_EOIMODE_EL3, _EOIMODE_S, _EOIMODE_NS = (
    IccCtlrEl3.eoimode_el3.low, IccCtlrEl3.eoimode_el1s.low, IccCtlrEl3.eoimode_el1ns.low,
)  # fmt: skip
_ENABLE_NS, _ENABLE_S = IccIgrpen1El3.enablegrp1ns.low, IccIgrpen1El3.enablegrp1s.low
_INTID: Final = 0xFF_FFFF
_AP: Final = 0xFFFF_FFFF

_Read = Callable[["CpuInterface", int, int], int]  # (interface, EL, 1 = Non-secure)
_Write = Callable[["CpuInterface", int, int, int], None]  # (interface, value, EL, 1 = Non-secure)
_VirtualRead = Callable[["VirtualInterface"], int]
_VirtualWrite = Callable[["VirtualInterface", int], None]


class _Register(NamedTuple):
    """A register: its access rules and its effect.

    At EL1, ICH_HCR_EL2 bits ``trap`` trap it to EL2; HCR_EL2 bits ``route`` make it virtual, or trap it if there is no
    virtual one. ``el`` is the lowest level that may use the physical one. A ``steady`` register reads the same until
    something changes in the CPU interface; the others depend on timers that have not been asked yet, or acknowledge.
    """

    el: int
    trap: int
    route: int
    read: _Read | None = None
    write: _Write | None = None
    virtual_read: _VirtualRead | None = None
    virtual_write: _VirtualWrite | None = None
    steady: bool = True


def is_steady(encoding: Encoding) -> bool:
    """True if a register reads the same until :meth:`cca_platform.gic.cpu.CpuInterface.signal` is next called."""
    row = _REGISTERS.get(encoding)
    return row is not None and row.steady


def access(
    cpu: "CpuInterface", encoding: Encoding, el: int, security: int, hcr: int, value: int | None
) -> int:
    """MRS (``value`` None) or MSR at an EL of a security state; UNDEFINED, TRAP_EL2, or what was read (0 for MSR)."""
    row = _REGISTERS.get(encoding)
    if row is None or el == 0 or (row.read if value is None else row.write) is None:
        return UNDEFINED
    ns = 0 if security in (_SECURE, _ROOT) else 1
    if el == 1 and ns:
        if cpu.virtual.hcr & row.trap:
            return TRAP_EL2
        if hcr & row.route:
            return _virtual(cpu.virtual, row, value)
    if el < row.el or (el == 2 and not ns):
        return UNDEFINED
    if value is None:
        assert row.read is not None
        return row.read(cpu, el, ns)
    assert row.write is not None
    row.write(cpu, value, el, ns)
    return 0


def _virtual(virtual: "VirtualInterface", row: _Register, value: int | None) -> int:
    if value is None:
        return TRAP_EL2 if row.virtual_read is None else row.virtual_read(virtual)
    if row.virtual_write is None:
        return TRAP_EL2
    row.virtual_write(virtual, value)
    return 0


def _bit(value: int) -> int:
    return 1 if value else 0


# -- registers that need more than a line -----------------------------------------------------------------------------
def _read_rpr(cpu: "CpuInterface", el: int, ns: int) -> int:
    running = cpu.running_priority()
    return ns_read(running) if ns and el < 3 and running != 0xFF else running


def _read_bpr1(cpu: "CpuInterface", el: int, ns: int) -> int:
    if el < 3 and cpu.control[ns] & CBPR:
        return min(cpu.bpr0 + 1, 7) if ns else cpu.bpr0
    return cpu.bpr1[ns]


def _write_bpr0(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
    cpu.bpr0 = max(value & 7, MIN_BPR)
    cpu.changed()


def _write_bpr1(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
    if el < 3 and cpu.control[ns] & CBPR:
        if not ns:
            _write_bpr0(cpu, value, el, ns)
    else:
        cpu.bpr1[ns] = max(value & 7, MIN_BPR + ns)
        cpu.changed()


def _write_control(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
    # with two security states, CBPR is read-only here: ICC_CTLR_EL3 has it
    cpu.control[ns] = cpu.control[ns] & CBPR | value & EOIMODE
    cpu.changed()


def _read_control_el3(cpu: "CpuInterface", el: int, ns: int) -> int:
    secure, other = cpu.control
    points = _bit(secure & CBPR) << _CBPR_S | _bit(other & CBPR) << _CBPR_NS
    modes = _bit(secure & EOIMODE) << _EOIMODE_S | _bit(other & EOIMODE) << _EOIMODE_NS
    return points | modes | _bit(cpu.el3_eoimode) << _EOIMODE_EL3 | _FEATURES | _NDS


def _write_control_el3(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
    points, modes = (_CBPR_S, _CBPR_NS), (_EOIMODE_S, _EOIMODE_NS)
    cpu.control = [
        (value >> point & 1) * CBPR | (value >> mode & 1) * EOIMODE for point, mode in zip(points, modes, strict=True)
    ]
    cpu.el3_eoimode = (value >> _EOIMODE_EL3 & 1) * EOIMODE
    cpu.changed()


def _enable(cpu: "CpuInterface", group: int, value: int) -> None:
    cpu.enables = cpu.enables & ~(1 << group) | (value & 1) << group
    cpu.gic.update_all()  # it affects which PE takes a 1 of N interrupt


def _read_enables_el3(cpu: "CpuInterface", el: int, ns: int) -> int:
    return (cpu.enables >> G1NS & 1) << _ENABLE_NS | (cpu.enables >> G1S & 1) << _ENABLE_S


def _write_enables_el3(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
    _enable(cpu, G1NS, value >> _ENABLE_NS)
    _enable(cpu, G1S, value >> _ENABLE_S)


def _write_active(cpu: "CpuInterface", group: int, value: int) -> None:
    cpu.active[group] = value & _AP
    cpu.changed()


# An SGI is not sent in another group than requested, except that one for Group 1 Secure may be in Group 0.
# Non-secure software sends Group 1 Non-secure ones only, for GICD_NSACR and GICR_NSACR are zero.
def _send_sgi1(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
    cpu.gic.send_sgi(cpu, value, 1 << G1NS if ns else 1 << G1S | 1 << G0)


def _send_alias_sgi1(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
    cpu.gic.send_sgi(cpu, value, 0 if ns else 1 << G1NS)


def _send_sgi0(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
    cpu.gic.send_sgi(cpu, value, 0 if ns else 1 << G0)


def _nothing(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
    """A register with only read-only bits."""


# -- the table --------------------------------------------------------------------------------------------------------
# _group(n): a register of Group n, by HCR_EL2.FMO or IMO and TALL0 or TALL1; common: of both groups.
def _group0(
    read: _Read | None, write: _Write | None, vread: _VirtualRead | None, vwrite: _VirtualWrite | None
) -> _Register:
    return _Register(3, _TALL0, _FMO, read, write, vread, vwrite)


def _group1(
    read: _Read | None, write: _Write | None, vread: _VirtualRead | None, vwrite: _VirtualWrite | None
) -> _Register:
    return _Register(1, _TALL1, _IMO, read, write, vread, vwrite)


def _common(
    read: _Read | None, write: _Write | None, vread: _VirtualRead | None, vwrite: _VirtualWrite | None
) -> _Register:
    return _Register(1, _TC, _FMO | _IMO, read, write, vread, vwrite)


def _sgi(write: _Write) -> _Register:
    return _Register(1, _TC, _FMO | _IMO, None, write)


def _hyp(read: _VirtualRead, write: _VirtualWrite | None) -> _Register:
    def _write(cpu: "CpuInterface", value: int, el: int, ns: int) -> None:
        if write is not None:
            write(cpu.virtual, value)

    return _Register(2, 0, 0, lambda cpu, el, ns: read(cpu.virtual), None if write is None else _write)


def _list_register(index: int) -> _Register:
    return _hyp(lambda v: v.lrs[index], lambda v, x: v.write_lr(index, x))


_REGISTERS: Final[dict[Encoding, _Register]] = {
    encodings.ICC_PMR_EL1: _common(lambda c, el, ns: c.read_pmr(el == 3 or not ns),
        lambda c, x, el, ns: c.write_pmr(x, el == 3 or not ns), lambda v: v.read_pmr(), lambda v, x: v.write_pmr(x),
    ),
    encodings.ICC_IAR0_EL1: _group0(
        lambda c, el, ns: c.acknowledge(False, el, ns), None, lambda v: v.acknowledge(0), None
    )._replace(steady=False),
    encodings.ICC_EOIR0_EL1: _group0(None, lambda c, x, el, ns: c.end(x & _INTID, False, el, ns),
        None, lambda v, x: v.end(x & _INTID, 0),
    ),
    encodings.ICC_HPPIR0_EL1: _group0(
        lambda c, el, ns: c.pending_for(False, el, ns), None, lambda v: v.pending_for(0), None
    )._replace(steady=False),
    encodings.ICC_BPR0_EL1: _group0(
        lambda c, el, ns: c.bpr0, _write_bpr0, lambda v: v.read_bpr(0), lambda v, x: v.write_bpr(0, x)
    ),
    encodings.ICC_AP0R0_EL1: _group0(lambda c, el, ns: c.active[G0], lambda c, x, el, ns: _write_active(c, G0, x),
        lambda v: v.active[0], lambda v, x: v.write_active(0, x),
    ),
    encodings.ICC_AP1R0_EL1: _group1(
        lambda c, el, ns: c.active[G1S + ns], lambda c, x, el, ns: _write_active(c, G1S + ns, x),
        lambda v: v.active[1], lambda v, x: v.write_active(1, x),
    ),
    encodings.ICC_DIR_EL1: _common(None, lambda c, x, el, ns: c.deactivate(x & _INTID, el, ns),
        None, lambda v, x: v.deactivate(x & _INTID),
    )._replace(trap=_TC | _TDIR),
    encodings.ICC_RPR_EL1: _common(_read_rpr, None, lambda v: v.running_priority(), None),
    encodings.ICC_SGI1R_EL1: _sgi(_send_sgi1),
    encodings.ICC_ASGI1R_EL1: _sgi(_send_alias_sgi1),
    encodings.ICC_SGI0R_EL1: _sgi(_send_sgi0),
    encodings.ICC_IAR1_EL1: _group1(
        lambda c, el, ns: c.acknowledge(True, el, ns), None, lambda v: v.acknowledge(1), None
    )._replace(steady=False),
    encodings.ICC_EOIR1_EL1: _group1(None, lambda c, x, el, ns: c.end(x & _INTID, True, el, ns),
        None, lambda v, x: v.end(x & _INTID, 1),
    ),
    encodings.ICC_HPPIR1_EL1: _group1(
        lambda c, el, ns: c.pending_for(True, el, ns), None, lambda v: v.pending_for(1), None
    )._replace(steady=False),
    encodings.ICC_BPR1_EL1: _group1(
        _read_bpr1, _write_bpr1, lambda v: v.read_bpr(1), lambda v, x: v.write_bpr(1, x)
    ),
    encodings.ICC_CTLR_EL1: _common(
        lambda c, el, ns: c.control[ns] | _FEATURES, _write_control,
        lambda v: v.read_control() | _FEATURES, lambda v, x: v.write_control(x),
    ),
    encodings.ICC_SRE_EL1: _Register(1, 0, 0, lambda c, el, ns: _SRE, _nothing),
    encodings.ICC_IGRPEN0_EL1: _group0(lambda c, el, ns: c.enables >> G0 & 1, lambda c, x, el, ns: _enable(c, G0, x),
        lambda v: v.read_enable(0), lambda v, x: v.write_enable(0, x),
    ),
    encodings.ICC_IGRPEN1_EL1: _group1(
        lambda c, el, ns: c.enables >> G1S + ns & 1, lambda c, x, el, ns: _enable(c, G1S + ns, x),
        lambda v: v.read_enable(1), lambda v, x: v.write_enable(1, x),
    ),
    encodings.ICC_SRE_EL2: _Register(2, 0, 0, lambda c, el, ns: _SRE | _SRE_ENABLE, _nothing),
    encodings.ICH_AP0R0_EL2: _hyp(lambda v: v.active[0], lambda v, x: v.write_active(0, x)),
    encodings.ICH_AP1R0_EL2: _hyp(lambda v: v.active[1], lambda v, x: v.write_active(1, x)),
    encodings.ICH_HCR_EL2: _hyp(lambda v: v.hcr, lambda v, x: v.write_hcr(x)),
    encodings.ICH_VTR_EL2: _hyp(lambda v: _VTR, None),
    encodings.ICH_MISR_EL2: _hyp(lambda v: v.misr(), None),
    encodings.ICH_EISR_EL2: _hyp(lambda v: v.eisr(), None),
    encodings.ICH_ELRSR_EL2: _hyp(lambda v: v.elrsr(), None),
    encodings.ICH_VMCR_EL2: _hyp(lambda v: v.vmcr, lambda v, x: v.write_vmcr(x)),
    **{
        encodings.ICH_LR0_EL2._replace(op2=index): _list_register(index) for index in range(LIST_REGISTERS)
    },
    encodings.ICC_CTLR_EL3: _Register(3, 0, 0, _read_control_el3, _write_control_el3),
    encodings.ICC_SRE_EL3: _Register(3, 0, 0, lambda c, el, ns: _SRE | _SRE_ENABLE, _nothing),
    encodings.ICC_IGRPEN1_EL3: _Register(3, 0, 0, _read_enables_el3, _write_enables_el3),
}  # fmt: skip
