"""The PMU of a Realm: what it counts, what the Host sees of it, and what each has of the other's (DEN0137 "PMU")."""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import CALL, REPORT, load, reported, with_vectors
from rmm_host import PAGE, RAM, Realm, to_code

from cca_arch.rmi.v1_0 import FeatureRegister0, RecExitReason, Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_host.kvm.irqchip import Irqchip
from cca_platform.native import block

Running = Callable[..., Any]
PMU_FLAG, CYCLES = 1 << 2, 1 << 31
HOSTS = {"pmcr": 1, "pmcnten": CYCLES | 1, "pminten": 4, "pmovs": 2, "pmselr": 3, "pmuserenr": 5, "pmccfiltr": 1 << 27}
"""Registers of a Host whose counters count all there is."""


def start(counters: int = CYCLES | 1, **registers: int) -> str:
    """Set registers of the monitors, then let counters count from the next instruction on."""
    source = "".join(f"{load('x9', value)}; msr {name}, x9; " for name, value in registers.items())
    return f"{source}{load('x9', counters)}; mov x10, #1; msr pmcntenset_el0, x9; msr pmcr_el0, x10; "


@pytest.fixture
def counting(host: Any) -> Callable[..., Realm]:
    """Makes an ACTIVE Realm with a PMU, whose code is the assembly given."""

    def build(source: str, counters: int = 6, recs: int = 1) -> Realm:
        realm = Realm(host, flags=PMU_FLAG, pmu_num_ctrs=counters)
        realm.write(RAM, to_code(source))
        realm.write(RAM + PAGE, b"")
        for _ in range(recs):
            realm.rec()
        realm.activate()
        return realm

    return build


class TestOffer:
    """RMI feature register 0, and RMI_REALM_CREATE."""

    def test_feature_register(self, host: Any) -> None:
        """PMU_EN, and as many counters as the PE has."""
        register = FeatureRegister0(host.ok(Rmi.FEATURES, 0)[0])
        assert (register.PMU_EN, register.PMU_NUM_CTRS) == (1, 6)

    @pytest.mark.parametrize(("counters", "accepted"), [(0, False), (1, True), (6, True), (7, False), (32, False)])
    def test_counters(self, host: Any, counters: int, accepted: bool) -> None:
        """1 to PMU_NUM_CTRS: none at all would need FEAT_HPMN0."""
        if accepted:
            Realm(host, flags=PMU_FLAG, pmu_num_ctrs=counters).destroy()
        else:
            with pytest.raises(AssertionError, match="status=0x1, index=0x0"):
                Realm(host, flags=PMU_FLAG, pmu_num_ctrs=counters)

    def test_measured(self, realms: Callable[..., Realm]) -> None:
        """Flag and number of counters are in the RIM."""
        rims = {realms(flags=flags, pmu_num_ctrs=n).rim for flags, n in ((0, 0), (PMU_FLAG, 1), (PMU_FLAG, 2), (0, 2))}
        assert len(rims) == 4


class TestWithout:
    """A Realm without a PMU."""

    def test_identification(self, running: Running) -> None:
        """ID_AA64DFR0_EL1.PMUVer reads as not implemented."""
        realm = running(f"mrs x1, id_aa64dfr0_el1; {REPORT}")
        assert reported(realm.enter())[1] >> 8 & 15 == 0

    def test_registers(self, running: Running) -> None:
        """The registers read as zero and ignore writes, at any level, without an exit."""
        source = (
            "mov x9, #-1; msr pmcntenset_el0, x9; msr pmccntr_el0, x9; msr pmuserenr_el0, x9; msr pmcr_el0, x9; "
            "mov x1, #5; mov x2, #5; mov x3, #5; mov x4, #5; mov x5, #5; mrs x1, pmccntr_el0; mrs x2, pmcr_el0; "
            "mrs x3, pmcntenset_el0; mrs x4, pmceid0_el0; mrs x5, pmevcntr0_el0; mrs x6, pmintenset_el1"
        )
        realm = running(f"{source}; {REPORT}")
        assert reported(realm.enter())[1:7] == (0,) * 6


class TestCounts:
    """A Realm with a PMU."""

    def test_identification(self, counting: Any) -> None:
        """PMUVer as the PE has it, and PMCR_EL0.N as the Host has asked for, which are the counters there are."""
        realm = counting(with_vectors("mrs x5, id_aa64dfr0_el1; mrs x6, pmcr_el0; mrs x7, pmevcntr2_el0"), counters=2)
        x = reported(realm.enter())
        assert (x[5] >> 8 & 15, x[6] >> 11 & 31) == (6, 2)
        assert (x[0], x[4]) == (1 << 25, 0x200)  # UNDEFINED

    def test_first_entry(self, counting: Any) -> None:
        """A new REC has the reset state: nothing counts, nothing is enabled."""
        reads = "mrs x1, pmcr_el0; mrs x2, pmcntenset_el0; mrs x3, pmintenset_el1; mrs x4, pmovsset_el0"
        x = reported(counting(f"{reads}; mrs x5, pmccntr_el0; mrs x6, pmuserenr_el0; {REPORT}").enter())
        assert x[1:7] == (0x4100_3040, 0, 0, 0, 0, 0)

    @pytest.mark.parametrize(
        ("between", "entries"), [("host call", 2), ("RSI", 1), ("emulated access", 2), ("interrupt", 2)]
    )
    def test_own_instructions(self, counting: Any, between: str, entries: int) -> None:
        """Exactly the Realm's own: none of the RMM or the Host, and none twice, whatever comes in between."""
        what = {
            "host call": f"{load('x0', Rsi.HOST_CALL)}; {load('x1', CALL)}; smc #0",
            "RSI": f"{load('x0', Rsi.VERSION)}; {load('x1', 0x1_0000)}; smc #0",
            "emulated access": f"{load('x3', 1 << 32)}; str xzr, [x3]",
            "interrupt": "; ".join([f"nop; b here{number}; here{number}: " + "nop" for number in range(100)]),
        }[between]
        realm = counting(f"{start(pmevtyper0_el0=8)}{what}; nop; mrs x2, pmccntr_el0; mrs x3, pmevcntr0_el0; {REPORT}")
        machine, pe = realm.host.machine, realm.host.pe
        if between == "interrupt":
            pe.host_timer(machine.clock.now + 10)
        for _ in range(entries - 1):
            exit = realm.enter()
            Irqchip(machine).handle(pe)
        exit = realm.enter(flags=int(between == "emulated access"))
        retired = len(to_code(f"{what}; nop")) // 4 - (between == "emulated access")  # that is done by the Host
        assert reported(exit)[2:4] == (retired, retired + 1)

    def test_two_recs(self, counting: Any) -> None:
        """Each REC has its own registers; they come back as they were, every one."""
        names = [*(f"pmevcntr{n}_el0" for n in range(6)), *(f"pmevtyper{n}_el0" for n in range(6)),
                 "pmccntr_el0", "pmselr_el0", "pmuserenr_el0", "pmccfiltr_el0", "pmcntenset_el0", "pmintenset_el1",
                 "pmovsset_el0"]  # fmt: skip
        seeds = "; ".join(f"add x9, x9, #1; msr {name}, x9" for name in names)
        reads = "mov x2, xzr; " + "; ".join(f"mrs x3, {name}; eor x2, x3, x2, ror #7" for name in names)
        source = f"mrs x4, mpidr_el1; and x4, x4, #1; {load('x9', CYCLES)}; add x9, x9, x4, lsl #4; {seeds}; {reads}; "
        source += f"mov x5, x2; {load('x0', Rsi.HOST_CALL)}; {load('x1', CALL)}; smc #0; {reads}; {REPORT}"
        realm = counting(source, recs=2)
        for number in (0, 1):
            assert realm.enter(number).exit_reason == RecExitReason.HOST_CALL
        found = [reported(realm.enter(number)) for number in (0, 1)]
        assert [x[2] for x in found] == [x[5] for x in found]
        assert found[0][2] != found[1][2]


class TestOverflow:
    """An overflow interrupt."""

    LONG = "mov x3, #0; again: add x3, x3, #1; cmp x3, #4000; b.ne again"

    def near(self, **more: int) -> str:
        return start(pmevtyper0_el0=8, pmevcntr0_el0=(1 << 32) - 500, **more)

    def test_exit(self, counting: Any) -> None:
        """Exit IRQ with pmu_ovf_status; without PMINTENSET_EL1 nothing exits."""
        realm = counting(f"{self.near(pmintenset_el1=1)}; {self.LONG}; mrs x1, pmovsset_el0; {REPORT}")
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, exit.pmu_ovf_status) == (RecExitReason.IRQ, 0, 1)
        again = realm.enter()  # the Host has not masked the interrupt: the Realm does not come to run
        assert (again.exit_reason, again.pmu_ovf_status) == (RecExitReason.IRQ, 1)
        quiet = counting(f"{self.near()}; {self.LONG}; mrs x1, pmovsset_el0; {REPORT}")
        exit = quiet.enter()
        assert (reported(exit)[1], exit.pmu_ovf_status) == (1, 0)

    @pytest.mark.parametrize("without", ["pminten", "pmcnten", "pmcr", "pmovs"])
    def test_status(self, counting: Any, without: str) -> None:
        """ACTIVE needs flag, interrupt enable, counter enable and PMCR_EL0.E; it is in every exit record."""
        off = {"pminten": "msr pmintenclr_el1, x9", "pmcnten": "msr pmcntenclr_el0, x9", "pmcr": "msr pmcr_el0, xzr",
               "pmovs": "msr pmovsclr_el0, x9"}[without]  # fmt: skip
        on = start(1, pmovsset_el0=1, pmintenset_el1=1)
        realm = counting(f"mov x9, #1; {off}; {on}; mov x9, #1; {off}; {REPORT}")
        realm.host.machine.gic.cpus[0].write((3, 0, 4, 6, 0), 0, 2, 1, 0)  # ICC_PMR_EL1: the Host takes nothing
        assert realm.enter().pmu_ovf_status == 0

    def test_gone(self, counting: Any) -> None:
        """The line of the PE is the Host's again after the exit."""
        realm = counting(f"{self.near(pmintenset_el1=1)}; {self.LONG}; {REPORT}")
        realm.enter()
        pe = realm.host.pe
        assert not pe.interrupted()
        assert not any(pe.save_pmu())


class TestHost:
    """The Host's monitors while a Realm runs."""

    @pytest.mark.parametrize("has_pmu", [False, True])
    def test_kept(self, counting: Any, running: Running, has_pmu: bool) -> None:
        """They stand still, are not to be seen, and come back as they were."""
        source = f"mrs x1, pmccntr_el0; mrs x2, pmselr_el0; mrs x3, pmuserenr_el0; mov x4, #1; {REPORT}"
        realm = counting(source) if has_pmu else running(source)
        pe = realm.host.pe
        for name, value in HOSTS.items():
            pe.words[_word(name)] = value
        for number in range(13):
            pe.words[_word("pmccntr") + number] = 1000 + number
        before = pe.save_pmu()
        exit = realm.enter()
        assert reported(exit)[1:5] == (0, 0, 0, 1)
        assert exit.pmu_ovf_status == 0
        assert pe.save_pmu() == before

    @pytest.mark.parametrize("has_pmu", [False, True])
    def test_no_interrupt(self, counting: Any, running: Running, has_pmu: bool) -> None:
        """A counter of the Host that is about to overflow does not while the Realm runs."""
        realm = (counting if has_pmu else running)(f"{TestOverflow.LONG}; {REPORT}")
        pe = realm.host.pe
        for name, value in {"pmcr": 1, "pmcnten": CYCLES, "pminten": CYCLES, "pmccntr": (1 << 64) - 100}.items():
            pe.words[_word(name)] = value
        assert reported(realm.enter())[3] == 4000
        assert pe.words[_word("pmccntr")] == (1 << 64) - 100

    def test_no_longer(self, counting: Any) -> None:
        """A Host that has reset its monitors since the last entry finds them so, not as they once were."""
        realm = counting(f"{REPORT}; b .")
        pe = realm.host.pe
        pe.words[_word("pmccntr")] = 77
        realm.enter()
        assert pe.words[_word("pmccntr")] == 77
        pe.reset_pmu()
        pe.host_timer(realm.host.machine.clock.now + 100)
        assert realm.enter().exit_reason == RecExitReason.IRQ
        assert not any(pe.save_pmu())

    def test_user(self, running: Running) -> None:
        """What the Host lets its EL0 use, the Realm's cannot: without a PMU, its access traps to its own EL1."""
        lower = f"{load('x9', RAM + 0x600)}; msr elr_el1, x9; mov x9, #0x3c0; msr spsr_el1, x9; eret"
        realm = running(with_vectors(lower).replace("@0x700", "@0x600: mrs x7, pmccntr_el0; svc #0 @0x700"))
        realm.host.pe.words[_word("pmuserenr")] = 0xF
        x = reported(realm.enter())
        assert (x[0] >> 26, x[2], x[4]) == (0x18, RAM + 0x600, 0x400)

    def test_scrubbed(self, counting: Any) -> None:
        """What the REC kept of them goes with it."""
        realm = counting(f"{start(pmccntr_el0=0x5A5A_5A5A)}; {REPORT}")
        realm.enter()
        rec = realm.recs[0]
        assert b"\x5a\x5a\x5a" in realm.host.peek.read(rec, PAGE)
        realm.host.ok(Rmi.REC_DESTROY, rec)
        realm.host.ok(Rmi.GRANULE_UNDELEGATE, rec)
        assert not any(realm.host.peek.read(rec, PAGE))


def _word(name: str) -> int:
    """The word of a register of the monitors in the PE block."""
    return block.PE.saved().index(name)
