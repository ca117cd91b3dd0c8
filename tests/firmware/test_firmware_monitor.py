"""The root monitor: who may call what, and what a switch of worlds keeps apart."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca_arch.el3 import RmmEl3, RmmEl3Status
from cca_arch.psci import PSCI_VERSION, HwState, Psci, PsciStatus
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.smccc import NOT_SUPPORTED, RMI_FIDS, RMI_FIDS_LATER, RMM_EL3_FIDS, RSI_FIDS, SMCCC_VERSION, Smccc
from cca_arch.types import Gpi, Pas, SecurityState
from cca_firmware.bl31.contexts import CPU_CONTEXT
from cca_firmware.bl31.names import function_name
from cca_platform.errors import GranuleProtectionFault, MachineStopped

NS, SECURE, REALM = SecurityState.NON_SECURE, SecurityState.SECURE, SecurityState.REALM
FORWARDED = 0x600D_0000
GRANULE = 0x9000_0000
INTERESTING = sorted(
    {
        *RMI_FIDS, *RMI_FIDS_LATER, *RSI_FIDS, *RMM_EL3_FIDS, *Psci, *Smccc,
        0, 1, 0x8400_0150, 0x8400_018F, 0xC400_014F, 0xC400_02D0, 0x0400_0150, 0x4400_0150, 0xC500_0150, 0xC402_0150,
        0x8400_000B, 0x8400_001F, 0xC400_0000, 0xC400_0008, 0x8400_0050, 0x8600_FF01, 0x8200_0000, 0xC300_0000,
        0xB200_0000, 0xF200_0000, 0xC000_0000, 0xFFFF_FFFF,
    }
)  # fmt: skip
OWN = {  # what a call answers when the monitor serves it itself, with X1 = 0
    Smccc.VERSION: SMCCC_VERSION,
    Smccc.ARCH_FEATURES: NOT_SUPPORTED,
    Psci.VERSION: PSCI_VERSION,
    Psci.MIGRATE_INFO_TYPE: 2,
    Psci.FEATURES: PsciStatus.NOT_SUPPORTED,
    Psci.CPU_SUSPEND: PsciStatus.DENIED,
    Psci.CPU_SUSPEND_64: PsciStatus.DENIED,
    Psci.CPU_OFF: PsciStatus.DENIED,
    **dict.fromkeys((Psci.SYSTEM_SUSPEND, Psci.SYSTEM_SUSPEND_64), PsciStatus.DENIED),
    **dict.fromkeys((Psci.NODE_HW_STATE, Psci.NODE_HW_STATE_64), HwState.ON),
    **dict.fromkeys((Psci.STAT_COUNT, Psci.STAT_COUNT_64, Psci.STAT_RESIDENCY, Psci.STAT_RESIDENCY_64), 0),
    Psci.MEM_PROTECT: 0,
    **dict.fromkeys((Psci.MEM_PROTECT_CHECK_RANGE, Psci.MEM_PROTECT_CHECK_RANGE_64), PsciStatus.DENIED),
    RmmEl3.GTSI_DELEGATE: RmmEl3Status.BAD_ADDR,
    RmmEl3.GTSI_UNDELEGATE: RmmEl3Status.BAD_ADDR,
    RmmEl3.ATTEST_GET_REALM_KEY: RmmEl3Status.BAD_ADDR,
    RmmEl3.ATTEST_GET_PLAT_TOKEN: RmmEl3Status.BAD_ADDR,
    RmmEl3.EL3_FEATURES: RmmEl3Status.OK,
}
ENDS_RUN = {Psci.SYSTEM_OFF, Psci.SYSTEM_RESET, Psci.SYSTEM_RESET2, Psci.SYSTEM_RESET2_64}
RETURNS = {RmmEl3.RMI_REQ_COMPLETE}


def expected(state: SecurityState, fid: int) -> int:
    """The routing table of el3: X0 of a call with X1.. = 0 (0xFFFF_0000 = target that is no PE)."""
    arch = fid in (Smccc.VERSION, Smccc.ARCH_FEATURES)
    if state is NS and (fid in RMI_FIDS or fid in RMI_FIDS_LATER):
        return FORWARDED
    if arch or (state is NS and fid in OWN and fid in iter(Psci)) or (state is REALM and fid in iter(RmmEl3)):
        return int(OWN.get(fid, NOT_SUPPORTED))
    return NOT_SUPPORTED


def call(booted: Any, state: SecurityState, *args: int) -> list[int]:
    """An SMC from a world: NS from the host, Realm from inside the RMM, Secure from a PE put there."""
    pe = booted.pe
    if state is NS:
        return list(pe.smc(*args))
    results: list[int] = []
    if state is REALM:

        def answer(pe: Any) -> tuple[int, ...]:
            results.extend(pe.smc(*args))
            return (0, 0, 0, 0, 0)

        booted.rmm.answer = answer
        pe.smc(Rmi.VERSION)
        return results
    pe.security, pe.el = SECURE, 1
    try:
        return list(pe.smc(*args))
    finally:
        pe.security, pe.el = NS, 2


class TestRouting:
    @pytest.mark.parametrize("state", [NS, SECURE, REALM], ids=lambda state: state.name)
    def test_every_row(self, booted: Any, state: SecurityState) -> None:
        """Each function of each interface, and unknown ones of every owner, from each world."""
        booted.rmm.answer = lambda pe: (FORWARDED, 0, 0, 0, 0)
        for fid in INTERESTING:
            if (state is NS and fid in ENDS_RUN) or (state is REALM and fid in RETURNS):
                continue
            if fid in (Psci.CPU_ON, Psci.CPU_ON_64, Psci.AFFINITY_INFO, Psci.AFFINITY_INFO_64) and state is NS:
                assert call(booted, state, fid, 0xFFFF_0000)[0] == PsciStatus.INVALID_PARAMETERS
                continue
            got = call(booted, state, fid, *([0] * 7))[0]
            assert got == expected(state, fid), f"{state.name} {fid:#x}: {got:#x}"

    def test_unknown_changes_x0_alone(self, booted: Any) -> None:
        """NOT_SUPPORTED in X0; X1 to X30 as they were."""
        pe = booted.pe
        for state in (NS, SECURE):
            pe.x[:] = memoryview(bytes(range(248))).cast("Q")
            before = pe.x.tolist()
            pe.security = state
            pe.smc(0xC400_01B0, *before[1:8])
            assert pe.x.tolist() == [NOT_SUPPORTED, *before[1:]]
        pe.security = NS

    @given(
        fid=st.sampled_from(INTERESTING) | st.integers(0, 2**32 - 1),
        flip=st.sampled_from([0, *(1 << bit for bit in range(32))]),
        high=st.integers(0, 2**32 - 1),
    )
    @settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_fid(self, booted: Any, fid: int, flip: int, high: int) -> None:
        """A function identifier is W0: the upper half of X0 and the SVE hint do not matter, every other bit does."""
        names = booted.firmware.monitor.routes(NS)
        plain = (fid ^ flip) & 0xFFFE_FFFF
        if plain in ENDS_RUN or plain in iter(Psci):
            return
        booted.rmm.answer = lambda pe: (FORWARDED, 0, 0, 0, 0)
        got = booted.pe.smc(high << 32 | fid ^ flip, 0)[0]
        assert (got == FORWARDED) == (plain in RMI_FIDS or plain in RMI_FIDS_LATER)
        assert (got == NOT_SUPPORTED) == (plain not in names or plain == Smccc.ARCH_FEATURES)

    def test_sve_hint_travels(self, booted: Any) -> None:
        """The SVE hint of an RMI call reaches the RMM."""
        booted.pe.smc(Rmi.VERSION | 1 << 16, 5)
        assert booted.rmm.entries[-1][1][:2] == [Rmi.VERSION | 1 << 16, 5]

    def test_smccc(self, booted: Any) -> None:
        """ARCH_FEATURES tells 0 of the two calls that there are."""
        features = {fid: call(booted, NS, Smccc.ARCH_FEATURES, fid)[0] for fid in (*Smccc, Psci.VERSION)}
        assert {fid for fid, result in features.items() if result == 0} == {Smccc.VERSION, Smccc.ARCH_FEATURES}

    def test_rmm_el3_features(self, booted: Any) -> None:
        """Feature register 0 is zero (no token signing); there is no other."""
        assert call(booted, REALM, RmmEl3.EL3_FEATURES, 0)[:2] == [RmmEl3Status.OK, 0]
        assert call(booted, REALM, RmmEl3.EL3_FEATURES, 1)[0] == RmmEl3Status.INVAL

    def test_second_end_of_the_boot(self, booted: Any) -> None:
        """RMM_BOOT_COMPLETE ends the boot of a PE once; after that it is an unknown call, which changes X0 alone."""
        assert call(booted, REALM, RmmEl3.BOOT_COMPLETE, 0, 5)[:3] == [NOT_SUPPORTED, 0, 5]
        assert booted.pe.smc(Rmi.VERSION, 1)[0] == 0

    def test_names(self) -> None:
        """Traces name functions as the specifications do."""
        assert function_name(Rmi.VERSION) == "RMI_VERSION"
        assert function_name(Rsi.VERSION | 1 << 16) == "RSI_VERSION"
        assert function_name(0x1234) == "0x1234"


class TestWorldSwitch:
    def test_registers(self, booted: Any) -> None:
        """The RMM gets X0..X7 of the caller; the caller gets X1..X5 of the RMM in X0..X4 and keeps the rest."""
        pe = booted.pe
        booted.rmm.answer = lambda pe: (11, 12, 13, 14, 15)
        pe.x[8:] = memoryview(bytes(range(1, 185))).cast("Q")
        kept = pe.x[8:].tolist()
        results = pe.smc(Rmi.VERSION, 1, 2, 3, 4, 5, 6, 7)
        assert list(results[:5]) == [11, 12, 13, 14, 15]
        assert booted.rmm.entries[-1][1][:8] == [Rmi.VERSION, 1, 2, 3, 4, 5, 6, 7]
        assert pe.x[5:].tolist() == [5, 6, 7, *kept]

    def test_no_leak(self, booted: Any) -> None:
        """X8..X30 of one world never show in the other."""
        pe = booted.pe
        secret = [0x5EC2E7 + number for number in range(23)]

        def answer(pe: Any) -> tuple[int, ...]:
            pe.x[8:] = memoryview(b"".join(word.to_bytes(8, "little") for word in secret)).cast("Q")
            return (0, 0, 0, 0, 0)

        booted.rmm.answer = answer
        pe.x[8:] = memoryview(bytes([0xAB]) * 184).cast("Q")
        pe.smc(Rmi.VERSION)
        assert not set(secret) & set(pe.x.tolist())
        assert 0xABABABABABABABAB not in booted.rmm.entries[-1][1]
        pe.smc(Rmi.VERSION)
        assert booted.rmm.entries[-1][1][8:] == secret

    def test_contexts_of_pes(self, booted: Any) -> None:
        """Each PE has contexts of its own."""
        booted.rmm.answer = lambda pe: (pe.index, 0, 0, 0, 0)
        for pe in booted.machine.pes:
            pe.x[20] = 0x1000 + pe.index
        for pe in booted.machine.pes:
            assert pe.smc(Rmi.VERSION)[0] == pe.index
        assert [pe.x[20] for pe in booted.machine.pes] == [0x1000 + pe.index for pe in booted.machine.pes]

    def test_context_in_root_dram(self, booted: Any) -> None:
        """A context is a Root granule: its content is in DRAM, and no other world reads it."""
        pe, memory = booted.pe, booted.machine.memory
        pe.x[30] = 0x1234_5678
        pe.smc(Rmi.VERSION, 0x77)
        context = booted.firmware.contexts.of(0, NS)
        found = CPU_CONTEXT.unpack(memory.backdoor.read(context.pa, CPU_CONTEXT.size))
        assert (found.x[1], found.x[30], found.scr_el3) == (0x77, 0x1234_5678, 0b101)
        for state in (NS, SECURE, REALM):
            with pytest.raises(GranuleProtectionFault):
                memory.port(state).read64(context.pa)

    def test_snapshot(self, booted: Any) -> None:
        """A snapshot keeps the contexts, which EL3 writes past the ports."""
        booted.pe.smc(Rmi.VERSION, 1)
        saved = booted.firmware.save()
        before = booted.machine.memory.backdoor.read(booted.firmware.contexts.base, 0x3000)
        booted.pe.smc(Rmi.VERSION, 2, 3, 4, 5, 6, 7, 8)
        booted.firmware.restore(saved)
        assert booted.machine.memory.backdoor.read(booted.firmware.contexts.base, 0x3000) == before

    def test_machine_snapshot(self, booted: Any) -> None:
        """A machine that is put back is put back at EL3 too: contexts, tables, and a power-off undone."""
        machine, pe = booted.machine, booted.pe
        pe.smc(Rmi.VERSION, 1)
        contexts = machine.memory.backdoor.read(booted.firmware.contexts.base, 0x3000)
        snapshot = machine.snapshot()
        pe.smc(Rmi.VERSION, 2, 3, 4)
        assert call(booted, REALM, RmmEl3.GTSI_DELEGATE, GRANULE)[0] == RmmEl3Status.OK
        with pytest.raises(MachineStopped):
            pe.smc(Psci.SYSTEM_OFF)
        machine.restore(snapshot)
        assert machine.memory.backdoor.read(booted.firmware.contexts.base, 0x3000) == contexts
        machine.memory.port(NS).read64(GRANULE)
        assert call(booted, REALM, RmmEl3.GTSI_UNDELEGATE, GRANULE)[0] == RmmEl3Status.BAD_PAS


class TestGranuleService:
    def test_there_and_back(self, booted: Any) -> None:
        """The RMM, and only the RMM, moves granules; the port of the old PAS faults at once."""
        memory = booted.machine.memory
        ns = memory.port(NS)
        ns.write64(GRANULE, 1)
        assert call(booted, REALM, RmmEl3.GTSI_DELEGATE, GRANULE)[0] == RmmEl3Status.OK
        with pytest.raises(GranuleProtectionFault):
            ns.read64(GRANULE)
        memory.port(REALM).write64(GRANULE, 2)
        assert call(booted, REALM, RmmEl3.GTSI_DELEGATE, GRANULE)[0] == RmmEl3Status.BAD_PAS
        for state in (NS, SECURE):
            assert call(booted, state, RmmEl3.GTSI_UNDELEGATE, GRANULE)[0] == NOT_SUPPORTED
        assert call(booted, REALM, RmmEl3.GTSI_UNDELEGATE, GRANULE)[0] == RmmEl3Status.OK
        assert ns.read64(GRANULE) == 2

    def test_order(self, booted: Any) -> None:
        """A bad address is told before a wrong PAS."""
        root = booted.machine.board.region("root").base
        assert call(booted, REALM, RmmEl3.GTSI_DELEGATE, root + 1)[0] == RmmEl3Status.BAD_ADDR
        assert call(booted, REALM, RmmEl3.GTSI_DELEGATE, root)[0] == RmmEl3Status.BAD_PAS


class TestTrace:
    def test_events(self, boot_machine: Any) -> None:
        """One RMI call: SMC in, switch to Realm, RMM's SMC, switch back, SMC out; a granule's change in between."""
        booted = boot_machine(trace=True)

        def answer(pe: Any) -> tuple[int, ...]:
            pe.smc(RmmEl3.GTSI_DELEGATE, GRANULE)
            return (0, 0, 0, 0, 0)

        booted.rmm.answer = answer
        del booted.records[:]
        booted.pe.smc(Rmi.GRANULE_DELEGATE, GRANULE)
        told = [(record["event"], record.get("name") or record.get("target")) for record in booted.records]
        assert told == [
            ("smc.call", "RMI_GRANULE_DELEGATE"),
            ("world.switch", "REALM"),
            ("smc.call", "RMM_GTSI_DELEGATE"),
            ("gpt.change", None),
            ("smc.return", "RMM_GTSI_DELEGATE"),
            ("smc.call", "RMM_RMI_REQ_COMPLETE"),
            ("world.switch", "NON_SECURE"),
            ("smc.return", "RMI_GRANULE_DELEGATE"),
        ]
        change = booted.records[3]
        assert (change["pa"], change["old"], change["new"]) == (hex(GRANULE), "NON_SECURE", "REALM")

    def test_psci(self, boot_machine: Any) -> None:
        """A PSCI call has an event of its own, with its arguments, between SMC in and SMC out."""
        booted = boot_machine(trace=True)
        del booted.records[:]
        booted.pe.smc(Psci.AFFINITY_INFO, 0x100, 0)
        assert [record["event"] for record in booted.records] == ["smc.call", "psci.call", "smc.return"]
        assert (booted.records[1]["cmd"], booted.records[1]["args"]) == ("PSCI_AFFINITY_INFO", ["0x100", "0x0", "0x0"])

    def test_tracing_changes_nothing(self, boot_machine: Any) -> None:
        """The same calls give the same registers with and without a trace."""
        results = []
        for trace in (False, True):
            booted = boot_machine(trace=trace)
            booted.rmm.answer = lambda pe: (1, 2, 3, 4, 5)
            results.append([list(booted.pe.smc(fid, 0xFFFF_0000)) for fid in INTERESTING if fid not in ENDS_RUN])
        assert results[0] == results[1]


class TestPas:
    def test_gpi_of_regions(self, booted: Any) -> None:
        """After boot each region belongs to its world: the whole table of states and regions."""
        memory = booted.machine.memory
        places = {Pas.NON_SECURE: GRANULE} | {region.pas: region.base for region in booted.machine.board.regions}
        allowed = {NS: {Pas.NON_SECURE}, SECURE: {Pas.SECURE, Pas.NON_SECURE}, REALM: {Pas.REALM, Pas.NON_SECURE},
                   SecurityState.ROOT: set(Pas)}  # fmt: skip
        for state, may in allowed.items():
            for pas, pa in places.items():
                reached = False
                for view in Pas:
                    try:
                        memory.port(state, view).read64(pa)
                        reached = True
                    except (GranuleProtectionFault, ValueError):
                        continue
                assert reached == (pas in may), (state, pas)
        assert Gpi.ROOT == 8 | Pas.ROOT
