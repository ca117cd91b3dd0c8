"""The registers of the performance monitors, as EL2, EL1 and EL0 access them (DDI 0487, D24.5).

The engine has none (MDCR_EL3.TPM, which software does not see), so each access comes here, with exactly the
instructions before it retired. A row a register: who may use it, and what it does. What traps an access comes from
:mod:`cca_platform.pe.traps`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from cca_arch.sysregs import PMU_COUNTERS, PMU_CYCLES, Encoding, Mdcr, Pmcr, PmEvent, PmFilter, Pmuserenr, encodings
from cca_platform.engine import pmu
from cca_platform.isa.frame import PMU_FRAME, PMU_FRAME_SIZE
from cca_platform.native import block as w

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = [
    "BY_NAME",
    "MDCR_RESET",
    "REGISTERS",
    "Register",
    "find",
    "load_pmu",
    "pmu_shows",
    "read",
    "reset_pmu",
    "save_pmu",
    "withdraw_pmu",
    "write",
]

MDCR_RESET: Final = int(Mdcr.make(hpmn=PMU_COUNTERS))
"""MDCR_EL2 after a reset: every event counter is EL1's."""
_U64: Final = (1 << 64) - 1
_WORDS: Final = slice(w.P_PMU, w.P_PMU + len(PMU_FRAME))
assert [name.partition("_")[0] for name in PMU_FRAME] == [
    {"pmcnten": "pmcntenset", "pminten": "pmintenset", "pmovs": "pmovsset"}.get(name, name)
    for name in w.PE.saved()[_WORDS]
]
_ALL: Final = pmu.EVENTS | pmu.CYCLES
_PMCR_KEPT: Final = Pmcr.e.mask | Pmcr.dp.mask | Pmcr.lp.mask
_PMCR_FIXED: Final = int(Pmcr.make(lc=1, imp=0x41))  # no AArch32, so that the cycle counter has 64 bits
_P, _C, _N = Pmcr.p.mask, Pmcr.c.mask, Pmcr.n.low
_TYPE: Final = sum(field.mask for field in PmFilter.fields().values())
_FILTER: Final = _TYPE & ~PmFilter.event.mask
_USER: Final = sum(field.mask for field in Pmuserenr.fields().values())
_SELECTED: Final = 31  # PMSELR_EL0.SEL
_SW_INCR: Final = int(PmEvent.SW_INCR)

_Read = Callable[["Pe"], int]
_Write = Callable[["Pe", int], None]


class Register(NamedTuple):
    """A register; ``read`` and ``write`` are None where there is no such access, ``lowest`` the lowest level of each.

    ``counter`` is the number of the event counter that it belongs to, -1 for none: a level that does not have the
    counter does not have the register.
    """

    read: _Read | None = None
    write: _Write | None = None
    lowest: tuple[int, int] = (0, 0)
    counter: int = -1


def _visible(pe: "Pe") -> int:
    """The counters that the current level sees."""
    return _ALL if pe.el == 2 else int(pmu.available(pe.address)) | pmu.CYCLES


def _read_pmcr(pe: "Pe") -> int:
    count = (_visible(pe) & pmu.EVENTS).bit_count()
    return pe.words[w.P_PMCR] | _PMCR_FIXED | count << _N


def _write_pmcr(pe: "Pe", value: int) -> None:
    words = pe.words
    words[w.P_PMCR] = value & _PMCR_KEPT
    if value & _P:
        for counter in range((_visible(pe) & pmu.EVENTS).bit_count()):
            words[w.P_PMEVCNTR + counter] = 0
    if value & _C:
        words[w.P_PMCCNTR] = 0


def _mask(word: int) -> _Read:
    """Read a word with a bit for each counter."""
    return lambda pe: pe.words[word] & _visible(pe)


def _set(word: int) -> _Write:
    def write(pe: "Pe", value: int) -> None:
        pe.words[word] |= value & _visible(pe)

    return write


def _clear(word: int) -> _Write:
    def write(pe: "Pe", value: int) -> None:
        pe.words[word] &= ~(value & _visible(pe))

    return write


def _software_increment(pe: "Pe", value: int) -> None:
    """PMSWINC_EL0: an event SW_INCR for each counter that counts those now."""
    words: memoryview = pe.words
    for counter in range(PMU_COUNTERS):
        wanted = value & _visible(pe) & words[w.P_PMU_COUNTS] & 1 << counter
        if wanted and words[w.P_PMEVTYPER + counter] & PmFilter.event.mask == _SW_INCR:
            pmu.increment(pe.address, counter, 1)


def _plain(word: int, kept: int = _U64) -> tuple[_Read, _Write]:
    """Read and write a word, of which the bits ``kept`` are implemented."""

    def write(pe: "Pe", value: int) -> None:
        pe.words[word] = value & kept

    return (lambda pe: pe.words[word]), write


def _events(first: int) -> _Read:
    """PMCEID: the events from ``first`` on that are implemented; none are from 0x4000 on."""
    found = sum(1 << event - first for event in PmEvent if first <= event < first + 32)
    return lambda pe: found


def _selected(pe: "Pe", first: int) -> int:
    """The word of the register that PMSELR_EL0 selects, of those from ``first`` on."""
    return first + pe.words[w.P_PMSELR]


def _write_selected_type(pe: "Pe", value: int) -> None:
    if pe.words[w.P_PMSELR] == PMU_CYCLES:
        pe.words[w.P_PMCCFILTR] = value & _FILTER
    else:
        pe.words[_selected(pe, w.P_PMEVTYPER)] = value & _TYPE


def _read_selected_type(pe: "Pe") -> int:
    if pe.words[w.P_PMSELR] == PMU_CYCLES:
        return pe.words[w.P_PMCCFILTR]
    return pe.words[_selected(pe, w.P_PMEVTYPER)]


def _read_selected_counter(pe: "Pe") -> int:
    return pe.words[_selected(pe, w.P_PMEVCNTR)]


def _write_selected_counter(pe: "Pe", value: int) -> None:
    pe.words[_selected(pe, w.P_PMEVCNTR)] = value


def _of_counters() -> dict[Encoding, Register]:
    """PMEVCNTR<n>_EL0 and PMEVTYPER<n>_EL0."""
    found = {}
    for first, word, kept in (
        (encodings.PMEVCNTR0_EL0, w.P_PMEVCNTR, _U64), (encodings.PMEVTYPER0_EL0, w.P_PMEVTYPER, _TYPE)
    ):  # fmt: skip
        for counter in range(PMU_COUNTERS):
            encoding = first._replace(crm=first.crm + counter // 8, op2=counter % 8)
            found[encoding] = Register(*_plain(word + counter, kept), counter=counter)
    return found


REGISTERS: Final[dict[Encoding, Register]] = {
    encodings.PMCR_EL0: Register(_read_pmcr, _write_pmcr),
    encodings.PMCNTENSET_EL0: Register(_mask(w.P_PMCNTEN), _set(w.P_PMCNTEN)),
    encodings.PMCNTENCLR_EL0: Register(_mask(w.P_PMCNTEN), _clear(w.P_PMCNTEN)),
    encodings.PMINTENSET_EL1: Register(_mask(w.P_PMINTEN), _set(w.P_PMINTEN), lowest=(1, 1)),
    encodings.PMINTENCLR_EL1: Register(_mask(w.P_PMINTEN), _clear(w.P_PMINTEN), lowest=(1, 1)),
    encodings.PMOVSSET_EL0: Register(_mask(w.P_PMOVS), _set(w.P_PMOVS)),
    encodings.PMOVSCLR_EL0: Register(_mask(w.P_PMOVS), _clear(w.P_PMOVS)),
    encodings.PMSWINC_EL0: Register(write=_software_increment),
    encodings.PMSELR_EL0: Register(*_plain(w.P_PMSELR, _SELECTED)),
    encodings.PMCEID0_EL0: Register(_events(0x00)),
    encodings.PMCEID1_EL0: Register(_events(0x20)),
    encodings.PMCCNTR_EL0: Register(*_plain(w.P_PMCCNTR)),
    encodings.PMXEVTYPER_EL0: Register(_read_selected_type, _write_selected_type),
    encodings.PMXEVCNTR_EL0: Register(_read_selected_counter, _write_selected_counter),
    encodings.PMUSERENR_EL0: Register(*_plain(w.P_PMUSERENR, _USER), lowest=(0, 1)),
    encodings.PMCCFILTR_EL0: Register(*_plain(w.P_PMCCFILTR, _FILTER)),
    encodings.PMMIR_EL1: Register(lambda pe: 0, lowest=(1, 1)),
    **_of_counters(),
}
"""Every register of the monitors. Those of counters that the PE lacks do not exist."""
_BY_SELECTION: Final = frozenset({encodings.PMXEVTYPER_EL0, encodings.PMXEVCNTR_EL0})


def _named() -> dict[str, Register]:
    """The registers that can be read, by their names."""
    names = {encoding: name for name, encoding in encodings.REGISTERS.items()}
    found = {names[encoding]: one for encoding, one in REGISTERS.items() if encoding in names and one.counter < 0}
    for encoding, one in REGISTERS.items():
        if one.counter >= 0:
            kind = "pmevtyper" if encoding.crm >= encodings.PMEVTYPER0_EL0.crm else "pmevcntr"
            found[f"{kind}{one.counter}_el0"] = one
    return {name: one for name, one in found.items() if one.read is not None}


BY_NAME: Final = _named()
"""Those that can be read, by their lower-case names: ``pmccntr_el0``."""


def find(pe: "Pe", encoding: Encoding, is_read: bool) -> Register | None:
    """The row of a register, or None if the access is UNDEFINED at the current level."""
    register = REGISTERS[encoding]
    if (register.read if is_read else register.write) is None or pe.el < register.lowest[not is_read]:
        return None
    counter = register.counter
    if encoding in _BY_SELECTION:
        counter = pe.words[w.P_PMSELR]
        if counter == PMU_CYCLES and encoding == encodings.PMXEVTYPER_EL0:
            counter = -1
    return register if counter < 0 or _visible(pe) & pmu.EVENTS & 1 << counter else None


def read(pe: "Pe", register: Register) -> int:
    """Read a register, before its MRS is retired."""
    assert register.read is not None
    pmu.sync(pe.address)
    return register.read(pe)


def write(pe: "Pe", register: Register, value: int) -> None:
    """Write a register; its MSR has been retired, and has counted as what it changes was before."""
    assert register.write is not None
    pmu.sync(pe.address)
    register.write(pe, value)
    pmu.update(pe.address, pe.el)


def pmu_shows(pe: "Pe") -> bool:
    """True if a lower level can see the monitors, or be seen by them: a counter is enabled, or EL0 may use them."""
    return pe.words[w.P_PMCNTEN] | pe.words[w.P_PMUSERENR] != 0


def withdraw_pmu(pe: "Pe") -> None:
    """Disable every counter, and the access of EL0; a flag that is set asserts its interrupt as before."""
    pmu.stop(pe.address)
    pe.words[w.P_PMCNTEN] = pe.words[w.P_PMUSERENR] = 0


def save_pmu(pe: "Pe") -> bytes:
    """The registers of the monitors, as ``frame.PMU_FRAME``; they count no more before code runs again."""
    pmu.stop(pe.address)
    return bytes(pe.words[_WORDS])


def load_pmu(pe: "Pe", registers: bytes) -> None:
    """Load what ``save_pmu`` returned; zeroes are the reset state."""
    pmu.stop(pe.address)
    pe.words[_WORDS] = memoryview(registers).cast("Q")


def reset_pmu(pe: "Pe") -> None:
    """Reset the registers of the monitors."""
    load_pmu(pe, bytes(PMU_FRAME_SIZE))
