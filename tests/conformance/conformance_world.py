"""What a command of the conformance tests finds: Realms in every shape that some failure condition needs.

A situation is a dict of *facts*. A fact under an argument's name is that argument; ``params.x`` and ``enter.x`` are
members of the structure that the Host passes; ``@...`` is state of the RMM (see :data:`STATE`).
"""

from collections.abc import Callable
from typing import Any

from rmm_host import PAGE, RAM, Host, Realm, to_code

from cca_arch.descriptors.rtte import HOST_NORMAL
from cca_arch.rmi.v1_0 import Rmi, RmiRealmParams, RmiRecEnter, RmiRecParams, RmiRipas
from cca_arch.types import SecurityState
from cca_rmm.objects.granule import Granules, State
from cca_rmm.objects.realm import REALM
from cca_rmm.objects.rec import REC

__all__ = ["BLOCK", "CPU_ON", "DEVICE", "FIRMWARE", "GIB", "TALL", "Facts", "World"]

Facts = dict[str, Any]

BLOCK, GIB = 0x20_0000, 0x4000_0000
DEVICE = 0x1C09_0000  # no DRAM: not tracked
FIRMWARE = 0xFDC0_0000  # DRAM that the manifest does not give to the RMM: not tracked either
TALL = 1 << 48  # a granule of a bank that only a machine with more than 48 bits of PA has
CPU_ON = 0xC400_0003


class World:
    """Three Realms with two RECs, tables and pages, and granules in every state."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.peek = host.peek
        self.realm = realm = Realm(host)
        self.rd = realm.rd
        self.top = realm.unprotected
        self.table = realm.table(self.top, 3)
        realm.write(RAM, to_code("movz x0, #8; movk x0, #0x8400, lsl #16; smc #0"))  # PSCI_SYSTEM_OFF
        host.ok(Rmi.RTT_INIT_RIPAS, self.rd, RAM + PAGE, RAM + 3 * PAGE)
        realm.write(RAM + 6 * PAGE, b"")
        host.ok(Rmi.DATA_DESTROY, self.rd, RAM + 6 * PAGE)
        self.rec, self.rec1, self.rec2 = realm.rec(), realm.rec(flags=0), realm.rec(flags=0)
        self.fold = RAM + 8 * BLOCK
        realm.table(self.fold, 3)
        self.gone = RAM + 16 * BLOCK  # a level 2 entry that is DESTROYED
        realm.table(self.gone, 3)
        host.ok(Rmi.RTT_DESTROY, self.rd, self.gone, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, self.rd, self.top, 3, RAM | HOST_NORMAL)
        self.spare = host.granules(4)
        self.extra = host.granules()
        self.tables = host.granules(16, 16 * PAGE)  # for the RTTs of a further Realm
        self.ns, self.params, self.enter = host.page(), host.page(), host.page()
        self.lost = host.page()
        host.ok(Rmi.GRANULE_DELEGATE, self.lost)
        granules = host.rmm.granules  # EL3 gave it to another world while the RMM takes it for the Host's
        host.machine.memory.port(SecurityState.REALM).write8(granules.slot(self.lost), State.UNDELEGATED)
        self.other = Realm(host)
        self.other_rec = self.other.rec()
        self.empty = Realm(host)
        host.ok(Rmi.RTT_DESTROY, self.empty.rd, RAM, 3)
        self.deep = Realm(host, rtt_level_start=1, rtt_num_start=1)
        self.huge = Realm(host, s2sz=40, rtt_level_start=0, rtt_num_start=1)
        self.huge_top = self.huge.unprotected
        self.huge.table(self.huge_top, 1)
        for number in range(512):
            host.ok(
                Rmi.RTT_MAP_UNPROTECTED, self.huge.rd, self.huge_top + number * GIB, 1, number * GIB | HOST_NORMAL
            )

    def realm_params(self) -> Facts:
        """RmiRealmParams that RMI_REALM_CREATE takes."""
        shape = {"s2sz": 33, "num_bps": 5, "num_wps": 3, "rtt_level_start": 2, "rtt_num_start": 8}
        return {**shape, "vmid": 77, "rtt_base": self.tables}

    def rec_params(self) -> Facts:
        """RmiRecParams that RMI_REC_CREATE takes for the fourth REC."""
        return {"mpidr": 3, "num_aux": 2, "aux": (self.spare + PAGE, self.spare + 2 * PAGE, self.extra)}

    def arrange(self, facts: Facts) -> None:
        """Write the structures and bring the RMM's state about."""
        params = {name[7:]: value for name, value in facts.items() if name.startswith("params.")}
        if "rtt_base" in params:
            self.host.memory.write(self.params, RmiRealmParams.pack(**params))
        elif "mpidr" in params:
            params["aux"] = (*params["aux"], *(0,) * 16)[:16]
            self.host.memory.write(self.params, RmiRecParams.pack(**params))
        enter = {name[6:]: value for name, value in facts.items() if name.startswith("enter.")}
        if enter:
            self.host.memory.write(self.enter, RmiRecEnter.pack(**enter))
        for name, value in facts.items():
            if name.startswith("@"):
                STATE[name](self, value)

    def grow(self, base: int, state: State = State.DELEGATED) -> None:
        """The manifest names one more bank, of one granule, and that is in ``state``."""
        rmm = self.host.rmm
        old = rmm.granules
        rmm.granules = Granules(rmm.machine.memory, rmm.trace, old.table, [*old.banks, (base, PAGE)])
        rmm.granules.port.write8(rmm.granules.slot(base), state)

    def scatter(self, number: int) -> None:
        """One block of the level 1 table maps another PA than its place says."""
        ipa = self.huge_top + number * GIB
        self.host.ok(Rmi.RTT_UNMAP_UNPROTECTED, self.huge.rd, ipa, 1)
        self.host.ok(Rmi.RTT_MAP_UNPROTECTED, self.huge.rd, ipa, 1, 600 * GIB | HOST_NORMAL)

    def ripas_request(self, base: int, top: int) -> Facts:
        """REC 0 asks for RAM from ``base`` to ``top``, and the Host does it all."""
        return {"base": base, "top": top, "@ripas": (base, top)}


def _word(name: str) -> Callable[[World, Any], None]:
    return lambda w, value: REC.write(w.peek, w.rec, **{name: value})


def _request(w: World, value: tuple[int, int]) -> None:
    base, top = value
    REC.write(w.peek, w.rec, ripas_pending=1, ripas_addr=base, ripas_top=top, ripas_value=RmiRipas.RAM)


def _psci(w: World, value: tuple[int, ...]) -> None:
    regs = REC.load(w.peek, w.rec).aux_regs
    for number, word in enumerate(value):
        w.peek.write64(regs + 8 * number, word)


STATE: dict[str, Callable[[World, Any], None]] = {
    "@realm": lambda w, value: REALM.write(w.peek, w.rd, state=value),
    "@num_recs": lambda w, value: REALM.write(w.peek, w.rd, num_recs=value),
    "@state": _word("state"),
    "@runnable": _word("runnable"),
    "@pending": _word("psci_pending"),
    "@owner": _word("rd"),
    "@exit": lambda w, value: REC.write(w.peek, w.rec, exit_kind=value),
    "@ripas": _request,
    "@call": _psci,
    "@bank": lambda w, value: w.grow(value),
    "@busy": lambda w, value: w.grow(value, State.RD),
    "@scatter": lambda w, value: w.scatter(value),
}
"""State that a fact can ask for: of Realm 0, of its REC 0, or of the machine."""
