"""Every failure condition of every RMI command: one bad input gives its status and index, and changes nothing."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from cca_platform.types import SecurityState
from cca_rmm.abi import RecEnterFlags, Rmi, RmiRealmParams, RmiRecEnter, RmiRecParams, RmiReturn, RmiRipas, RmiStatus
from cca_rmm.granule import State
from cca_rmm.rec import REC, RecState
from cca_rmm.rmi import RMI

Arguments = dict[str, int]
RAM, PAGE = 0x8000_0000, 0x1000
BLOCK = 0x20_0000
DEVICE = 0x1C09_0000  # no DRAM: not tracked
REALM_IMAGE = 0xFDC0_0000  # DRAM of the firmware: not tracked either
PSCI_CPU_ON = 0xC400_0003


class World:
    """A NEW Realm with a page at RAM, unassigned RAM after it, two RECs, an Unprotected table, and spare granules."""

    def __init__(self, host: Any, realms: Callable[..., Any]) -> None:
        self.host = host
        self.realms = realms
        self.realm = realm = realms()
        self.rd = realm.rd
        realm.table(realm.unprotected, 3)
        self.data = realm.write(RAM, b"data")
        host.ok(Rmi.RTT_INIT_RIPAS, self.rd, RAM + PAGE, RAM + 3 * PAGE)
        self.rec = realm.rec()
        self.rec1 = realm.rec(flags=0)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, self.rd, realm.unprotected, 3, 0x8000_0000 | 6 << 2)
        self.spare = host.granules(4)
        self.ns = host.page()
        self.run = realm.runs[0]
        self.desc = 0x8000_0000 | 0b110 << 2 | 0b11 << 6

    def realm_params(self, **changed: Any) -> int:
        """A page of valid RmiRealmParams but for what is changed."""
        base = self.host.granules(8, 8 * PAGE)
        plain = {"s2sz": 33, "num_bps": 5, "num_wps": 3, "vmid": 77, "rtt_base": base, "rtt_level_start": 2}
        return int(self.host.page(RmiRealmParams.pack(**{"rtt_num_start": 8, **plain, **changed})))

    def rec_params(self, **changed: Any) -> int:
        """A page of valid RmiRecParams for REC 2 but for what is changed."""
        aux = (self.spare + PAGE, self.spare + 2 * PAGE) + (0,) * 14
        return int(self.host.page(RmiRecParams.pack(**{"mpidr": 2, "num_aux": 2, "aux": aux, **changed})))

    def request(self, **words: int) -> Arguments:
        """Put a pending request into REC 0, as its Realm does; no argument changes."""
        REC.write(self.host.machine.memory.backdoor, self.rec, **words)
        return {}

    def empty(self) -> int:
        """The RD of a Realm without anything."""
        realm = self.realms()
        self.host.ok(Rmi.RTT_DESTROY, realm.rd, RAM, 3)
        return int(realm.rd)

    def is_rd(self, pa: int) -> bool:
        """Whether a granule is an RD."""
        return bool(self.host.rmm.granules.state(pa) == State.RD)

    def active(self) -> Arguments:
        """The Realm runs; no argument changes."""
        self.host.ok(Rmi.REALM_ACTIVATE, self.rd)
        return {}

    def state(self, value: int) -> Arguments:
        """Put the Realm into a state; no argument changes."""
        self.host.machine.memory.backdoor.write64(self.rd, value)
        return {}

    def secret(self) -> int:
        """A granule that EL3 has given to the Secure world."""
        pa = int(self.host.page())
        self.take(pa)
        return pa

    def take(self, pa: int) -> None:
        """Another world has a granule that the RMM believes to be the Host's."""
        self.host.ok(Rmi.GRANULE_DELEGATE, pa)
        slot = self.host.rmm.granules.slot(pa)
        self.host.machine.memory.port(SecurityState.REALM).write8(slot, 0)

    def fingerprint(self) -> str:
        """A digest of everything that a failing command must leave alone."""
        peek, rmm = self.host.machine.memory.backdoor, self.host.rmm
        digest = hashlib.sha256(peek.read(rmm.granules.table, rmm.granules.count))
        digest.update(peek.read(0x9000_0000, self.host._next - 0x9000_0000))
        return digest.hexdigest()


@pytest.fixture
def world(host: Any, realms: Callable[..., Any]) -> World:
    """The World before a command."""
    return World(host, realms)


def ripas_request(w: World) -> Arguments:
    """REC 0 asks for EMPTY -> RAM on the fourth page."""
    return w.request(ripas_addr=RAM + 3 * PAGE, ripas_top=RAM + 4 * PAGE, ripas_value=RmiRipas.RAM, ripas_pending=1)


def psci_request(w: World) -> Arguments:
    """REC 0 waits for PSCI_COMPLETE of CPU_ON(REC 1)."""
    w.request(psci_pending=PSCI_CPU_ON)
    regs = REC.load(w.host.machine.memory.backdoor, w.rec).aux_regs
    for number, value in enumerate((PSCI_CPU_ON, 1, RAM, 0)):
        w.host.machine.memory.backdoor.write64(regs + 8 * number, value)
    return {}


GOOD: dict[str, Callable[[World], Arguments]] = {
    "GRANULE_DELEGATE": lambda w: {"addr": w.ns},
    "GRANULE_UNDELEGATE": lambda w: {"addr": w.spare},
    "DATA_CREATE": lambda w: {"rd": w.rd, "data": w.spare, "ipa": RAM + 4 * PAGE, "src": w.ns, "flags": 1},
    "DATA_CREATE_UNKNOWN": lambda w: {"rd": w.rd, "data": w.spare, "ipa": RAM + 4 * PAGE},
    "DATA_DESTROY": lambda w: {"rd": w.rd, "ipa": RAM},
    "REALM_ACTIVATE": lambda w: {"rd": w.rd},
    "REALM_DESTROY": lambda w: {"rd": w.empty()},
    "REALM_CREATE": lambda w: {"rd": w.spare, "params_ptr": w.realm_params()},
    "REC_CREATE": lambda w: {"rd": w.rd, "rec": w.spare, "params_ptr": w.rec_params()},
    "REC_DESTROY": lambda w: {"rec": w.rec},
    "REC_AUX_COUNT": lambda w: {"rd": w.rd},
    "RTT_CREATE": lambda w: {"rd": w.rd, "rtt": w.spare, "ipa": RAM + BLOCK, "level": 3},
    "RTT_DESTROY": lambda w: {"rd": w.rd, "ipa": w.realm.unprotected, "level": 3},
    "RTT_FOLD": lambda w: {"rd": w.rd, "ipa": fold_table(w), "level": 3},
    "RTT_MAP_UNPROTECTED": lambda w: {"rd": w.rd, "ipa": w.realm.unprotected + PAGE, "level": 3, "desc": w.desc},
    "RTT_UNMAP_UNPROTECTED": lambda w: {"rd": w.rd, "ipa": w.realm.unprotected, "level": 3},
    "RTT_READ_ENTRY": lambda w: {"rd": w.rd, "ipa": RAM, "level": 3},
    "RTT_INIT_RIPAS": lambda w: {"rd": w.rd, "base": RAM + 3 * PAGE, "top": RAM + 5 * PAGE},
    "RTT_SET_RIPAS": lambda w: (
        ripas_request(w) | {"rd": w.rd, "rec": w.rec, "base": RAM + 3 * PAGE, "top": RAM + 4 * PAGE}
    ),
    "PSCI_COMPLETE": lambda w: psci_request(w) | {"calling_rec": w.rec, "target_rec": w.rec1, "status": 0},
}


def fold_table(w: World) -> int:
    """The IPA of a level 3 table whose entries are all UNASSIGNED,EMPTY."""
    w.realm.table(RAM + 8 * BLOCK, 3)
    return RAM + 8 * BLOCK


def granule(argument: str, prefix: str, last: str = "state") -> dict[str, Callable[[World, Arguments], Arguments]]:
    """The three conditions of a granule argument; a granule in the wrong state is one that nobody uses, or an RD."""
    return {
        f"{prefix}_align": lambda w, a: {argument: a[argument] + 0x800},
        f"{prefix}_bound": lambda w, a: {argument: DEVICE},
        f"{prefix}_{last}": lambda w, a: {argument: w.spare + 3 * PAGE if w.is_rd(a[argument]) else w.rd},
    }


RD = granule("rd", "rd")
STRUCTURE: dict[str, Callable[[World, Arguments], Arguments]] = {
    "level_bound": lambda w, a: {"level": 2},
    "ipa_bound": lambda w, a: {"ipa": 1 << 33},
    "ipa_align": lambda w, a: {"ipa": a["ipa"] + PAGE},
}
BAD: dict[str, dict[str, Callable[[World, Arguments], Arguments]]] = {
    "GRANULE_DELEGATE": {
        **granule("addr", "gran"),
        "gran_bound": lambda w, a: {"addr": REALM_IMAGE},
        "gran_gpt": lambda w, a: {"addr": w.secret()},
    },
    "GRANULE_UNDELEGATE": granule("addr", "gran"),
    "DATA_CREATE": {
        "flags_valid": lambda w, a: {"flags": 2},
        **granule("src", "src", "pas"),
        **granule("data", "data"),
        **RD,
        "realm_state": lambda w, a: w.active(),
        "ipa_bound": lambda w, a: {"ipa": w.realm.unprotected},
        "ipa_align": lambda w, a: {"ipa": RAM + 4 * PAGE + 1},
        "rtt_walk": lambda w, a: {"ipa": RAM + BLOCK},
        "rtte_state": lambda w, a: {"ipa": RAM},
        "src_pas_access": lambda w, a: {"src": w.secret()},
    },
    "DATA_CREATE_UNKNOWN": {
        **granule("data", "data"),
        **RD,
        "ipa_bound": lambda w, a: {"ipa": w.realm.unprotected},
        "ipa_align": lambda w, a: {"ipa": RAM + 4 * PAGE + 8},
        "rtt_walk": lambda w, a: {"ipa": RAM + BLOCK},
        "rtte_state": lambda w, a: {"ipa": RAM},
    },
    "DATA_DESTROY": {
        **RD,
        "ipa_bound": lambda w, a: {"ipa": w.realm.unprotected},
        "ipa_align": lambda w, a: {"ipa": RAM + 8},
        "rtt_walk": lambda w, a: {"ipa": RAM + BLOCK},
        "rtte_state": lambda w, a: {"ipa": RAM + PAGE},
    },
    "REALM_ACTIVATE": {**RD, "realm_state": lambda w, a: w.active()},
    "REALM_DESTROY": {**RD, "realm_live": lambda w, a: {"rd": w.rd}},
    "REALM_CREATE": {
        **granule("params_ptr", "params", "pas"),
        "params_valid": lambda w, a: {"params_ptr": w.realm_params(hash_algo=2)},
        "params_supp": lambda w, a: {"params_ptr": w.realm_params(num_bps=6)},
        "rtt_num_level": lambda w, a: {"params_ptr": w.realm_params(rtt_num_start=4)},
        "vmid_valid": lambda w, a: {"params_ptr": w.realm_params(vmid=1)},
        "alias": lambda w, a: alias(w),
        **granule("rd", "rd"),
        "rtt_align": lambda w, a: {"params_ptr": w.realm_params(rtt_base=w.host.granules(16, 16 * PAGE) + PAGE)},
        "rtt_state": lambda w, a: {"params_ptr": w.realm_params(rtt_base=0xA000_0000)},
    },
    "REC_CREATE": {
        **granule("params_ptr", "params", "pas"),
        "num_aux_max": lambda w, a: {"params_ptr": w.rec_params(num_aux=17)},
        "aux_align": lambda w, a: {"params_ptr": w.rec_params(aux=(w.spare + PAGE, w.spare + 0x2800) + (0,) * 14)},
        "aux_state": lambda w, a: {"params_ptr": w.rec_params(aux=(w.spare + PAGE, w.ns) + (0,) * 14)},
        "aux_alias": lambda w, a: {"params_ptr": w.rec_params(aux=(w.spare + PAGE, w.spare) + (0,) * 14)},
        **granule("rec", "rec", "gran_state"),
        **RD,
        "realm_state": lambda w, a: w.active(),
        "params_valid": lambda w, a: {"params_ptr": w.rec_params(mpidr=0x12)},
        "mpidr_index": lambda w, a: {"params_ptr": w.rec_params(mpidr=3)},
        "num_aux": lambda w, a: {"params_ptr": w.rec_params(num_aux=1)},
    },
    "REC_DESTROY": {
        **granule("rec", "rec", "gran_state"),
        "rec_state": lambda w, a: w.request(state=RecState.RUNNING),
    },
    "REC_AUX_COUNT": RD,
    "RTT_CREATE": {
        **granule("rtt", "rtt"),
        **RD,
        **STRUCTURE,
        "rtte_state": lambda w, a: {"ipa": RAM},
    },
    "RTT_DESTROY": {
        **RD,
        **STRUCTURE,
        "rtte_state": lambda w, a: {"ipa": RAM + BLOCK},
        "rtt_live": lambda w, a: {"ipa": RAM},
    },
    "RTT_FOLD": {
        **RD,
        **STRUCTURE,
        "rtte_state": lambda w, a: {"ipa": RAM + BLOCK},
        "rtt_homo": lambda w, a: {"ipa": RAM},
    },
    "RTT_MAP_UNPROTECTED": {
        "level_bound": lambda w, a: {"level": 0},
        **RD,
        "desc_valid": lambda w, a: {"desc": a["desc"] | 1 << 9},
        "ipa_bound": lambda w, a: {"ipa": 1 << 33},
        "ipa_align": lambda w, a: {"ipa": a["ipa"] + 8},
        "ipa_prot": lambda w, a: {"ipa": RAM},
        "rtt_walk": lambda w, a: {"ipa": w.realm.unprotected + BLOCK},
        "rtte_state": lambda w, a: {"ipa": w.realm.unprotected},
    },
    "RTT_UNMAP_UNPROTECTED": {
        "level_bound": lambda w, a: {"level": 4},
        **RD,
        "ipa_bound": lambda w, a: {"ipa": 1 << 33},
        "ipa_align": lambda w, a: {"ipa": a["ipa"] + 8},
        "ipa_prot": lambda w, a: {"ipa": RAM},
        "rtt_walk": lambda w, a: {"ipa": w.realm.unprotected + BLOCK},
        "rtte_state": lambda w, a: {"ipa": w.realm.unprotected + PAGE},
    },
    "RTT_READ_ENTRY": {
        **RD,
        "level_bound": lambda w, a: {"level": 1},
        "ipa_bound": lambda w, a: {"ipa": 1 << 33},
        "ipa_align": lambda w, a: {"ipa": a["ipa"] + 8},
    },
    "RTT_INIT_RIPAS": {
        "size_valid": lambda w, a: {"top": a["base"]},
        **RD,
        "top_gran_align": lambda w, a: {"top": a["top"] + 8},
        "base_gran_align": lambda w, a: {"base": a["base"] + 8},
        "top_bound": lambda w, a: {"top": w.realm.unprotected + PAGE},
        "realm_state": lambda w, a: w.active(),
        "base_align": lambda w, a: {"base": RAM + BLOCK + PAGE, "top": RAM + 3 * BLOCK},
        "no_progress": lambda w, a: {"base": RAM + BLOCK, "top": RAM + BLOCK + PAGE},
        "rtte_state": lambda w, a: {"base": RAM},
    },
    "RTT_SET_RIPAS": {
        "size_valid": lambda w, a: {"top": a["base"]},
        "top_gran_align": lambda w, a: {"top": a["top"] - 8},
        **RD,
        **granule("rec", "rec", "gran_state"),
        "rec_state": lambda w, a: w.request(state=RecState.RUNNING),
        "rec_owner": lambda w, a: w.request(rd=w.spare),
        "base_bound": lambda w, a: {"base": a["base"] - PAGE},
        "top_bound": lambda w, a: {"top": a["top"] + PAGE},
        "base_align": lambda w, a: set_block(w, RAM + BLOCK + PAGE, RAM + 3 * BLOCK),
        "no_progress": lambda w, a: set_block(w, RAM + BLOCK, RAM + BLOCK + PAGE),
        "rtte_ripas": lambda w, a: destroyed(w, a["base"]),
    },
    "PSCI_COMPLETE": {
        "alias": lambda w, a: {"target_rec": a["calling_rec"]},
        **granule("calling_rec", "calling"),
        **granule("target_rec", "target"),
        "calling_running": lambda w, a: w.request(state=RecState.RUNNING),
        "pending": lambda w, a: w.request(psci_pending=0),
        "owner": lambda w, a: w.request(rd=w.spare),
        "target": lambda w, a: {"target_rec": w.realm.rec()},
        "status": lambda w, a: {"status": -1},
    },
}
INDEX = {
    ("DATA_CREATE", "rtt_walk"): 2,
    ("DATA_CREATE", "rtte_state"): 3,
    ("DATA_CREATE_UNKNOWN", "rtt_walk"): 2,
    ("DATA_CREATE_UNKNOWN", "rtte_state"): 3,
    ("DATA_DESTROY", "rtt_walk"): 2,
    ("DATA_DESTROY", "rtte_state"): 3,
    ("RTT_CREATE", "rtte_state"): 2,
    ("RTT_DESTROY", "rtte_state"): 2,
    ("RTT_DESTROY", "rtt_live"): 3,
    ("RTT_FOLD", "rtte_state"): 2,
    ("RTT_FOLD", "rtt_homo"): 3,
    ("RTT_MAP_UNPROTECTED", "rtt_walk"): 2,
    ("RTT_MAP_UNPROTECTED", "rtte_state"): 3,
    ("RTT_UNMAP_UNPROTECTED", "rtt_walk"): 2,
    ("RTT_UNMAP_UNPROTECTED", "rtte_state"): 3,
    ("RTT_INIT_RIPAS", "base_align"): 2,
    ("RTT_INIT_RIPAS", "no_progress"): 2,
    ("RTT_INIT_RIPAS", "rtte_state"): 3,
    ("RTT_SET_RIPAS", "base_align"): 2,
    ("RTT_SET_RIPAS", "no_progress"): 2,
    ("RTT_SET_RIPAS", "rtte_ripas"): 3,
}
"""The level that RMI_ERROR_RTT carries."""
ELSEWHERE = {
    ("VERSION", "req"),  # test_rmm_commands
    ("RTT_CREATE", "rtt_walk"), ("RTT_DESTROY", "rtt_walk"), ("RTT_FOLD", "rtt_walk"),  # TestDeepWalk
    ("RTT_FOLD", "rtt_block_level"),  # 512 blocks of 1 GiB
    ("REC_CREATE", "num_recs"),  # 1023 RECs
    ("RTT_CREATE", "rtt_bound2"), ("DATA_CREATE", "data_bound2"), ("DATA_CREATE_UNKNOWN", "data_bound2"),
}  # fmt: skip
"""Conditions with a test of their own, or that no board's memory can meet (a tracked PA above 2^48)."""


def alias(w: World) -> Arguments:
    """The RD among its own tables."""
    base = w.host.granules(8, 8 * PAGE)
    return {"rd": base + 3 * PAGE, "params_ptr": w.realm_params(rtt_base=base)}


def set_block(w: World, base: int, top: int) -> Arguments:
    """REC 0 asks for a range where only a level 2 entry exists."""
    w.request(ripas_addr=base, ripas_top=top)
    return {"base": base, "top": top}


def destroyed(w: World, ipa: int) -> Arguments:
    """Make the page DESTROYED: a page that was there and is gone; no argument changes."""
    w.realm.write(ipa, b"")
    w.host.ok(Rmi.DATA_DESTROY, w.rd, ipa)
    return {}


CASES = [(name, id) for name, conditions in BAD.items() for id in conditions]


class TestFailureConditions:
    """A single bad input."""

    @pytest.mark.parametrize(("name", "id"), CASES, ids=[f"{name}-{id}" for name, id in CASES])
    def test_condition(self, world: World, name: str, id: str) -> None:
        """Status and index are the row's; X1..X3 are zero or what the row gives; memory is as before."""
        row = RMI[Rmi[name]]
        arguments = GOOD[name](world)
        arguments |= BAD[name][id](world, arguments)
        before = world.fingerprint()
        result = world.host.call(Rmi[name], *(arguments[name] for name in row.ins))
        expected = RmiReturn.make(status=row.check(id).status, index=INDEX.get((name, id), 0))
        assert RmiReturn(result[0]) == expected
        assert world.fingerprint() == before
        if row.check(id).outputs is None:
            assert result[1:4] == [0, 0, 0]

    @pytest.mark.parametrize("name", sorted(GOOD))
    def test_good(self, world: World, name: str) -> None:
        """The arguments that the bad ones are made of succeed."""
        arguments = GOOD[name](world)
        world.host.ok(Rmi[name], *(arguments[name] for name in RMI[Rmi[name]].ins))

    def test_complete(self) -> None:
        """Every failure condition of the table is tested here or has a test of its own."""
        have = {*CASES, *ENTER_CASES_IDS, *ELSEWHERE}
        assert {(row.name, check.id) for row in RMI.values() for check in row.checks} == have


class TestDeepWalk:
    """RTT commands whose parent table is missing need two levels below the start."""

    @pytest.mark.parametrize("command", [Rmi.RTT_CREATE, Rmi.RTT_DESTROY, Rmi.RTT_FOLD])
    def test_rtt_walk(self, host: Any, realms: Callable[..., Any], command: Rmi) -> None:
        """RMI_ERROR_RTT with the level where the walk stopped."""
        realm = realms(rtt_level_start=1, rtt_num_start=1)
        spare = (host.granules(),) if command == Rmi.RTT_CREATE else ()
        assert host.status(command, realm.rd, *spare, 0x4000_0000, 3) == (RmiStatus.ERROR_RTT, 1)


ENTER: dict[str, Callable[[World, Arguments], Arguments]] = {
    **granule("run_ptr", "run", "pas"),
    **granule("rec", "rec", "gran_state"),
    "rec_state": lambda w, a: w.request(state=RecState.RUNNING),
    "run_pas_access": lambda w, a: {"run_ptr": w.secret()},
    "system_off": lambda w, a: w.state(2),
    "realm_new": lambda w, a: w.state(0),
    "rec_runnable": lambda w, a: {"rec": w.rec1},
    "rec_psci": lambda w, a: w.request(psci_pending=PSCI_CPU_ON),
    "rec_gicv3": lambda w, a: {"run_ptr": enter_page(w, gicv3_hcr=1 << 8)},
    "rec_mmio": lambda w, a: {"run_ptr": enter_page(w, flags=RecEnterFlags.make(emul_mmio=1))},
}
ENTER_CASES_IDS = [("REC_ENTER", id) for id in ENTER]


def enter_page(w: World, **enter: int) -> int:
    """A run page with these members of RmiRecEnter."""
    return int(w.host.page(RmiRecEnter.pack(**enter)))


class TestEnterConditions:
    """RMI_REC_ENTER, on an active Realm."""

    @pytest.mark.parametrize("id", sorted(ENTER))
    def test_condition(self, world: World, id: str) -> None:
        """Status and index; run.exit and everything else stay."""
        world.active()
        arguments = {"rec": world.rec, "run_ptr": world.run}
        arguments |= ENTER[id](world, arguments)
        before = world.fingerprint()
        result = world.host.call(Rmi.REC_ENTER, arguments["rec"], arguments["run_ptr"])
        status = RMI[Rmi.REC_ENTER].check(id).status
        assert RmiReturn(result[0]) == RmiReturn.make(status=status, index=1 if id == "system_off" else 0)
        assert result[1:4] == [0, 0, 0]
        assert world.fingerprint() == before


ORDERED: list[tuple[str, Callable[[World], Arguments], str]] = [
    ("DATA_CREATE", lambda w: {"rd": w.spare + 3 * PAGE, **w.active()}, "rd_state"),
    ("DATA_CREATE", lambda w: {"ipa": w.realm.unprotected + BLOCK}, "ipa_bound"),
    ("DATA_CREATE", lambda w: {"ipa": w.realm.unprotected}, "ipa_bound"),
    ("DATA_CREATE_UNKNOWN", lambda w: {"ipa": w.realm.unprotected + BLOCK}, "ipa_bound"),
    ("DATA_DESTROY", lambda w: {"ipa": w.realm.unprotected + BLOCK}, "ipa_bound"),
    ("RTT_CREATE", lambda w: {"ipa": RAM, "level": 2}, "level_bound"),
    ("RTT_CREATE", lambda w: {"ipa": 1 << 34}, "ipa_bound"),
    ("RTT_FOLD", lambda w: {"ipa": RAM + BLOCK, "level": 4}, "level_bound"),
    ("RTT_MAP_UNPROTECTED", lambda w: {"ipa": w.realm.unprotected, "level": 0}, "level_bound"),
    ("RTT_MAP_UNPROTECTED", lambda w: {"ipa": RAM + BLOCK}, "ipa_prot"),
    ("RTT_UNMAP_UNPROTECTED", lambda w: {"ipa": RAM + BLOCK}, "ipa_prot"),
    ("RTT_INIT_RIPAS", lambda w: {"base": RAM + BLOCK, "top": RAM + BLOCK + 8}, "top_gran_align"),
    ("RTT_INIT_RIPAS", lambda w: {"rd": w.spare, **w.active()}, "rd_state"),
    ("RTT_SET_RIPAS", lambda w: {"base": RAM + BLOCK + PAGE}, "base_bound"),
    ("RTT_SET_RIPAS", lambda w: {"top": RAM + 3 * PAGE + 8}, "top_gran_align"),
    ("REALM_ACTIVATE", lambda w: {"rd": w.spare, **w.active()}, "rd_state"),
]


class TestOrder:
    """Pairs of failures whose order the specification fixes."""

    @pytest.mark.parametrize(
        ("name", "bad", "id"), ORDERED, ids=[f"{name}-{id}-{n}" for n, (name, _, id) in enumerate(ORDERED)]
    )
    def test_pair(self, world: World, name: str, bad: Callable[[World], Arguments], id: str) -> None:
        """Two bad inputs: the condition that the specification prefers answers."""
        row = RMI[Rmi[name]]
        arguments = GOOD[name](world) | bad(world)
        result = world.host.call(Rmi[name], *(arguments[argument] for argument in row.ins))
        assert RmiReturn(result[0]) == RmiReturn.make(status=row.check(id).status)

    def test_enter(self, world: World) -> None:
        """What is no REC wins over bad list registers, a page that is not NS over the Realm's state."""
        page = enter_page(world, gicv3_hcr=1 << 8)
        assert world.host.status(Rmi.REC_ENTER, world.rd, page) == (RmiStatus.ERROR_INPUT, 0)
        assert world.host.status(Rmi.REC_ENTER, world.rec, world.spare) == (RmiStatus.ERROR_INPUT, 0)
        assert world.host.status(Rmi.REC_ENTER, world.rec, page) == (RmiStatus.ERROR_REALM, 0)
