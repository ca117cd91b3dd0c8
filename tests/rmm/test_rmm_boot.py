"""Boot of the RMM: the registers and the manifest that EL3 gives, checked in the specified order."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cca_arch.el3 import CORE_MANIFEST, RMM_EL3_VERSION, BootCode, RmmEl3, checksum
from cca_arch.types import SecurityState
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_rmm.rmm import Rmm

SHARED = 0xFDC0_0000 + 0x200_0000 - 0x1000
BANKS = [(0x8000_0000, 0x1000_0000), (0x8_8000_0000, 0x1000_0000)]


class El3:
    """A monitor that does nothing but boot the RMM on a PE and note its answer."""

    def __init__(self) -> None:
        self.code: int | None = None

    def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
        """RMM_BOOT_COMPLETE ends the boot; the SMC of the Host's level starts it."""
        if pe.security == SecurityState.REALM:
            assert pe.x[0] == RmmEl3.BOOT_COMPLETE
            self.code = pe.x[1]
            pe.eret(SecurityState.NON_SECURE, 2)
        else:
            pe.eret(SecurityState.REALM, 2)

    def on_irq(self, pe: Any) -> None:
        """No interrupts."""

    def on_eret(self, pe: Any) -> None:
        """Nothing is above EL3."""


class Bare:
    """A machine with an RMM and no firmware but El3."""

    def __init__(self) -> None:
        self.machine = Machine(Board.load("fvp"))
        self.el3 = El3()
        self.rmm = Rmm(self.machine)
        self.machine.install(SecurityState.ROOT, 3, self.el3)
        self.machine.install(SecurityState.REALM, 2, self.rmm)
        self.machine.install(SecurityState.NON_SECURE, 2, self.el3)

    def manifest(self, listed: list[tuple[int, int]], **changed: int) -> None:
        """Write a core manifest with these banks; ``changed`` are members that are not what they should be."""
        words = b"".join(struct.pack("<QQ", *bank) for bank in listed)
        at = SHARED + CORE_MANIFEST.size
        good = {"version": 3, "num_banks": len(listed), "banks": at, "banks_checksum": checksum(len(listed), at, words)}
        port = self.machine.memory.backdoor
        port.write(SHARED, CORE_MANIFEST.pack(**{**good, **changed}))
        port.write(at, words)

    def boot(self, *registers: int, pe: int = 0) -> int:
        """Enter the RMM with X0..; its boot code."""
        self.machine.pes[pe].smc(*registers)
        assert self.el3.code is not None
        return self.el3.code


@pytest.fixture
def bare() -> Iterator[Bare]:
    """A machine that has not booted."""
    made = Bare()
    yield made
    made.machine.close()


class TestColdBoot:
    """The first PE."""

    def test_success(self, bare: Bare) -> None:
        """The banks of the manifest, and no others, are tracked; every granule is UNDELEGATED."""
        bare.manifest(BANKS)
        assert bare.boot(0, RMM_EL3_VERSION, 2, SHARED) == BootCode.SUCCESS
        granules = bare.rmm.granules
        assert granules.banks == BANKS
        assert [granules.state(pa) for pa in (0x8000_0000, 0x8FFF_F000, 0x9000_0000, 0x8_8000_0000)] == [0, 0, -1, 0]

    @pytest.mark.parametrize(
        ("registers", "code"),
        [
            ((0, 0x1_0000, 2, SHARED), BootCode.VERSION_NOT_VALID),
            ((0, 0x2, 2, SHARED), BootCode.VERSION_NOT_VALID),
            ((0, 1 << 31 | 4, 2, SHARED), BootCode.VERSION_NOT_VALID),
            ((0, 4, 0, SHARED), BootCode.CPUS_OUT_OF_RANGE),
            ((0, 4, 65, SHARED), BootCode.CPUS_OUT_OF_RANGE),
            ((2, 4, 2, SHARED), BootCode.CPU_ID_OUT_OF_RANGE),
            ((0, 4, 2, 0), BootCode.INVALID_SHARED_BUFFER),
            ((0, 4, 2, SHARED + 8), BootCode.INVALID_SHARED_BUFFER),
            ((5, 0x2, 0, 0), BootCode.VERSION_NOT_VALID),
        ],
    )
    def test_registers(self, bare: Bare, registers: tuple[int, ...], code: BootCode) -> None:
        """Version, number of CPUs, CPU index, shared page: in this order."""
        bare.manifest(BANKS)
        assert bare.boot(*registers) == code

    @pytest.mark.parametrize(
        ("spoil", "code"),
        [
            (lambda b: b.manifest(BANKS, version=2), BootCode.MANIFEST_VERSION_NOT_SUPPORTED),
            (lambda b: b.manifest(BANKS, version=0x1_0003), BootCode.MANIFEST_VERSION_NOT_SUPPORTED),
            (lambda b: b.manifest(BANKS, banks_checksum=1), BootCode.MANIFEST_DATA_ERROR),
            (lambda b: b.manifest(BANKS, banks=0x8000_0000), BootCode.MANIFEST_DATA_ERROR),
            (lambda b: b.manifest([]), BootCode.MANIFEST_DATA_ERROR),
            (lambda b: b.manifest(BANKS[::-1]), BootCode.MANIFEST_DATA_ERROR),
            (lambda b: b.manifest([(0x8000_0000, 0x800)]), BootCode.MANIFEST_DATA_ERROR),
            (lambda b: b.manifest([(0x8000_0000, 0x2000), (0x8000_1000, 0x1000)]), BootCode.MANIFEST_DATA_ERROR),
        ],
    )
    def test_manifest(self, bare: Bare, spoil: Callable[[Bare], None], code: BootCode) -> None:
        """Banks have to be ascending, apart, whole granules, inside the shared page, and add up."""
        spoil(bare)
        assert bare.boot(0, RMM_EL3_VERSION, 2, SHARED) == code


class TestWarmBoot:
    """The other PEs."""

    def test_known_pe(self, bare: Bare) -> None:
        """A PE below the number of CPUs boots, as often as EL3 turns it on; another does not."""
        bare.manifest(BANKS)
        bare.boot(0, RMM_EL3_VERSION, 2, SHARED)
        assert [bare.boot(1, 0, 0, 0, pe=1) for _ in range(2)] == [BootCode.SUCCESS] * 2
        assert bare.boot(2, 0, 0, 0, pe=2) == BootCode.CPU_ID_OUT_OF_RANGE
