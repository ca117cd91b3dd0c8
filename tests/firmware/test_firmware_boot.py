"""Trusted boot on a real machine: stages, refusals, the hand-over, and PSCI for the Non-secure world."""

import re
import sys
from array import array
from typing import Any

import pytest

from cca_arch.el3 import RMM_EL3_VERSION, BootCode
from cca_arch.psci import AffinityInfo, Psci, PsciStatus, mpidr_affinity
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.types import Pas, SecurityState
from cca_firmware.base.errors import BootError
from cca_firmware.base.images import BL2, BL31, BL33, CCA_CERTIFICATE, NS_CERTIFICATE, RMM
from cca_firmware.bl31.psci import PsciService
from cca_firmware.package.package import Package, component, package
from cca_firmware.trusted_boot.fip import Fip
from cca_platform.board import Board, names
from cca_platform.errors import MachineStopped
from cca_platform.machine.machine import Machine

NS = SecurityState.NON_SECURE


def package_of(booted: Any) -> Package:
    """The package that a machine with these test programs boots from."""
    return package(component(booted.rmm), component(booted.machine.program(NS, 2)))


class TestBoot:
    @pytest.mark.parametrize("board", names())
    def test_boards(self, boot_machine: Any, board: str) -> None:
        """Every board boots, and serves RMI calls on every PE."""
        booted = boot_machine(board=board)
        booted.rmm.answer = lambda pe: (0x42, 0, 0, 0, 0)
        assert booted.firmware.rmm_ready
        assert booted.firmware.boot_codes == [BootCode.SUCCESS] * len(booted.machine.pes)
        assert [pe.smc(Rmi.VERSION)[0] for pe in booted.machine.pes] == [0x42] * len(booted.machine.pes)

    def test_rmm_arguments(self, booted: Any) -> None:
        """Cold boot: CPU index, version, number of CPUs, shared page; warm boot: the CPU index alone."""
        cpus = len(booted.machine.pes)
        (first, cold), *rest = booted.rmm.entries
        assert (first, cold[:4]) == (0, [0, RMM_EL3_VERSION, cpus, booted.firmware.shared_page])
        assert [(index, x[:4]) for index, x in rest] == [(index, [index, 0, 0, 0]) for index in range(1, cpus)]
        assert all(not any(x[4:]) for _, x in booted.rmm.entries)

    def test_ends_in_ns(self, booted: Any) -> None:
        """After boot every PE is at Non-secure EL2 with cleared registers."""
        for pe in booted.machine.pes:
            assert (pe.security, pe.el) == (NS, 2)
            assert not any(pe.x)

    def test_images_in_dram(self, booted: Any) -> None:
        """Each image is where it was measured, in its own PAS."""
        package, memory = Fip(package_of(booted).fip), booted.machine.memory
        spaces = {"BL2": Pas.ROOT, "BL31": Pas.ROOT, "RMM": Pas.REALM, "BL33": Pas.NON_SECURE}
        kinds = {kind.name: kind for kind in (BL2, BL31, RMM, BL33)}
        assert [entry.name for entry in booted.firmware.event_log] == list(spaces)
        for entry in booted.firmware.event_log:
            port = memory.port(SecurityState.ROOT, spaces[entry.name])
            assert port.read(entry.pa, entry.size) == package.get(kinds[entry.name].uuid)

    def test_fast(self, boot_machine: Any) -> None:
        """With the package built once, machine and boot together are fewer than 80,000 calls: some milliseconds."""
        boot_machine()
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            boot_machine()
        finally:
            sys.setprofile(before)
        assert calls < 80_000

    def test_stages(self, boot_machine: Any) -> None:
        """The trace tells the stages and the images in the order of TF-A with RME."""
        records = boot_machine(trace=True).records
        told = [record.get("stage") or record["image"] for record in records if record["event"].startswith("boot.")]
        assert told == ["BL1", "BL2", "BL2", "BL31", "RMM", "BL33", "BL31", "RMM", "BL33"]
        where = [(record["world"], record["el"]) for record in records if record.get("stage") in ("BL1", "BL2", "BL31")]
        assert where == [("root", 3)] * len(where)

    def test_deterministic(self, boot_machine: Any) -> None:
        """Two boots give the same trace and the same measurements."""
        first, second = boot_machine(trace=True), boot_machine(trace=True)
        assert first.records == second.records
        assert first.firmware.event_log == second.firmware.event_log


class TestRefusals:
    @pytest.mark.parametrize("kind", [BL2, BL31, RMM, BL33, CCA_CERTIFICATE, NS_CERTIFICATE], ids=lambda k: k.name)
    def test_tampered(self, boot_machine: Any, booted: Any, kind: Any) -> None:
        """A package with one flipped bit does not boot, and no image after the damaged one is loaded."""
        package = package_of(booted)
        data = bytearray(package.fip)
        entry = Fip(package.fip).entries[kind.uuid]
        data[entry.offset + entry.size // 2] ^= 1
        with pytest.raises(BootError, match=re.escape(f"{kind.label} must hash to ")):
            boot_machine(fip=bytes(data))
        assert boot_machine(fip=package.fip).firmware.rmm_ready

    def test_foreign_package(self, boot_machine: Any) -> None:
        """A package of other programs is refused, unless BL1 was made for it."""
        other = package(b"another RMM", b"another host")
        with pytest.raises(BootError, match="CCA content certificate must hash to"):
            boot_machine(fip=other.fip)
        log = boot_machine(fip=other.fip, root_digest=other.root_digest).firmware.event_log
        assert [entry.size for entry in log[2:]] == [len(b"another RMM"), len(b"another host")]

    def test_nothing_to_hand_over_to(self, boot_machine: Any) -> None:
        """NS EL2 is a program or an image, and one of them."""
        with pytest.raises(BootError, match="either ns_program or NS images"):
            boot_machine(ns_image=None)

    @pytest.mark.parametrize("index", [0, 3])
    def test_rmm_that_fails(self, boot_machine: Any, index: int) -> None:
        """When the RMM fails to boot on any PE, every RMI call on every PE is NOT_SUPPORTED; other calls work."""
        booted = boot_machine(codes={index: BootCode.MANIFEST_DATA_ERROR})
        assert not booted.firmware.rmm_ready
        assert booted.firmware.boot_codes[index] == BootCode.MANIFEST_DATA_ERROR
        entered = len(booted.rmm.entries)
        assert {pe.smc(Rmi.VERSION)[0] for pe in booted.machine.pes} == {NOT_SUPPORTED}
        assert len(booted.rmm.entries) == entered
        assert booted.pe.smc(Psci.VERSION)[0] == 0x10001


class TestPsci:
    def test_features(self, booted: Any) -> None:
        """PSCI_FEATURES tells success of what is implemented, SMCCC_VERSION included, and of nothing else."""
        known = {fid for fid in (*Psci, 0x8000_0000) if booted.pe.smc(Psci.FEATURES, fid)[0] == PsciStatus.SUCCESS}
        assert {Psci.VERSION, Psci.FEATURES, Psci.SYSTEM_OFF, Psci.SYSTEM_RESET, 0x8000_0000} <= known
        assert {Psci.MIGRATE, Psci.SET_SUSPEND_MODE, Psci.MIGRATE_INFO_UP_CPU}.isdisjoint(known)

    @pytest.mark.parametrize(
        ("fid", "reason"),
        [
            (Psci.SYSTEM_OFF, "system off"),
            (Psci.SYSTEM_RESET, "system reset: PSCI"),
            (Psci.SYSTEM_RESET2, "system reset: PSCI"),
            (Psci.SYSTEM_RESET2_64, "system reset: PSCI"),
        ],
    )
    def test_system(self, booted: Any, fid: int, reason: str) -> None:
        """SYSTEM_OFF, SYSTEM_RESET and SYSTEM_RESET2 end the run of the machine."""
        with pytest.raises(MachineStopped, match=reason):
            booted.pe.smc(fid)

    @pytest.mark.parametrize("kind", [1, 0x8000_0000, 0xFFFF_FFFF])
    def test_reset2(self, booted: Any, kind: int) -> None:
        """SYSTEM_RESET2 knows SYSTEM_WARM_RESET alone; the type has 32 bits in both forms."""
        for fid in (Psci.SYSTEM_RESET2, Psci.SYSTEM_RESET2_64):
            assert booted.pe.smc(fid, kind, 0)[0] == PsciStatus.INVALID_PARAMETERS
        with pytest.raises(MachineStopped):
            booted.pe.smc(Psci.SYSTEM_RESET2_64, 1 << 32, 0)

    def test_affinity(self, booted: Any) -> None:
        """Every PE of the board is on under a Python host; others do not exist."""
        for pe in booted.machine.pes:
            assert booted.pe.smc(Psci.AFFINITY_INFO_64, mpidr_affinity(pe.mpidr), 0)[0] == 0
        assert booted.pe.smc(Psci.AFFINITY_INFO, 0xFF, 0)[0] == PsciStatus.INVALID_PARAMETERS
        assert booted.pe.smc(Psci.AFFINITY_INFO, 0, 4)[0] == PsciStatus.INVALID_PARAMETERS

    @pytest.mark.parametrize("name", names())
    def test_target_cpu(self, name: str) -> None:
        """CPU_ON and AFFINITY_INFO take an affinity as MPIDR_EL1 has it, MT and RES1 too where that has them.

        As TF-A does on the FVP, whose MPIDRs have MT; a bit that MPIDR_EL1 has not names no PE.
        """
        machine = Machine(Board.load(name))
        on: list[int] = []
        psci = PsciService(machine, lambda pe, entry, context: on.append(pe.index))
        entry = machine.board.ns_entry

        def call(fid: int, target: int, *arguments: int) -> int:
            x = memoryview(array("Q", [fid, target, *arguments, 0, 0]))
            psci.handlers[fid](machine.pes[0], x)
            return x[0]

        for index, pe in enumerate(machine.pes[1:], 1):
            affinity, tags = mpidr_affinity(pe.mpidr), pe.mpidr ^ mpidr_affinity(pe.mpidr)
            assert tags == {"fvp": 0x8100_0000, "virt": 0x8000_0000}[name]
            for tag in {0, tags & 1 << 24, tags & 1 << 31, tags}:
                assert call(Psci.AFFINITY_INFO_64, affinity | tag, 0) == AffinityInfo.OFF
            for tag in (1 << bit for bit in (24, 25, 26, 27, 28, 29, 30, 40, 63) if not tags >> bit & 1):
                for fid in (Psci.CPU_ON_64, Psci.AFFINITY_INFO_64):
                    assert call(fid, affinity | tag, entry if fid == Psci.CPU_ON_64 else 0) == (
                        PsciStatus.INVALID_PARAMETERS
                    )
            assert call(Psci.CPU_ON if index & 1 else Psci.CPU_ON_64, affinity | tags, entry) == PsciStatus.SUCCESS
            assert on.pop() == index
            assert call(Psci.AFFINITY_INFO, affinity | tags, 0) == AffinityInfo.ON
        machine.close()

    def test_smc32(self, booted: Any) -> None:
        """The SMC32 form looks at 32 bits of each argument, the SMC64 form at all."""
        assert booted.pe.smc(Psci.AFFINITY_INFO, 0xDEAD_0000_0000_0100, 1 << 32)[0] == 0
        assert booted.pe.smc(Psci.AFFINITY_INFO_64, 0xDEAD_0000_0000_0100, 0)[0] == PsciStatus.INVALID_PARAMETERS

    def test_cpu_on_errors(self, booted: Any) -> None:
        """CPU_ON: unknown target, entry outside NS memory, target already on; in this order."""
        second = mpidr_affinity(booted.machine.pes[1].mpidr)
        root = booted.machine.board.region("root").base
        assert booted.pe.smc(Psci.CPU_ON_64, 0xFFFF, root)[0] == PsciStatus.INVALID_PARAMETERS
        for entry in (root, 0x1C09_0000, 0x8000_0002, 1 << 40):
            assert booted.pe.smc(Psci.CPU_ON_64, second, entry)[0] == PsciStatus.INVALID_ADDRESS
        assert booted.pe.smc(Psci.CPU_ON_64, second, 0x8000_0000)[0] == PsciStatus.ALREADY_ON
