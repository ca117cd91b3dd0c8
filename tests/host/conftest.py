"""A booted machine for the host's tests, and a little assembler for Realms of a few instructions."""

from collections.abc import Iterator

import pytest
from virtio_driver import Bench

from cca_firmware.boot import boot
from cca_host.kvm import System, Vcpu, Vm
from cca_host.kvmtool.layout import RAM_BASE
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_rmm.rmm import Rmm


class Code:
    """Instructions one after another; every method returns the code, so that they can be chained."""

    def __init__(self) -> None:
        self.words: list[int] = []

    def __bytes__(self) -> bytes:
        return b"".join(word.to_bytes(4, "little") for word in self.words)

    def word(self, *words: int) -> "Code":
        self.words += words
        return self

    def mov(self, rd: int, value: int) -> "Code":
        """Xd = value."""
        self.word(0xD280_0000 | (value & 0xFFFF) << 5 | rd)
        for half in range(1, 4):
            part = value >> 16 * half & 0xFFFF
            if part:
                self.word(0xF280_0000 | half << 21 | part << 5 | rd)
        return self

    def smc(self, *args: int) -> "Code":
        """SMC #0 with X0.. = args."""
        for register, value in enumerate(args):
            self.mov(register, value)
        return self.word(0xD400_0003)

    def load(self, rt: int, rn: int, offset: int = 0) -> "Code":
        """Xt = [Xn + offset]."""
        return self.word(0xF940_0000 | offset // 8 << 10 | rn << 5 | rt)

    def store(self, rt: int, rn: int, offset: int = 0) -> "Code":
        """[Xn + offset] = Xt."""
        return self.word(0xF900_0000 | offset // 8 << 10 | rn << 5 | rt)

    def wfi(self) -> "Code":
        return self.word(0xD503_207F)

    def loop(self) -> "Code":
        """b ."""
        return self.word(0x1400_0000)


@pytest.fixture
def code() -> Code:
    """An empty program."""
    return Code()


@pytest.fixture(scope="session")
def host() -> System:
    """The host of a machine that was booted once; every test leaves it as it found it."""
    machine = Machine(Board.load("fvp"))
    system = System(machine)
    boot(machine, rmm=Rmm(machine), ns_program=system)
    return system


@pytest.fixture
def system(host: System) -> Iterator[System]:
    """The host; afterwards every granule is back, and clean."""
    host.audit = True
    yield host
    host.pe.host_timer(None)
    for vm in list(host.vms):
        vm.destroy()
        assert vm.troubles == []
    assert (host.delegated, host.dirty, host.pages.used, host.pages.lost, host.vmids) == (0, 0, 0, [], set())


@pytest.fixture
def realm(system: System):
    """Make a Realm that runs some code: ``realm(code, vcpus=1, memory=..., ...) -> Vm``."""

    def make(program: Code, *, vcpus: int = 1, memory: int = 4 << 20, **options) -> Vm:
        vm = Vm(system, **options)
        vm.add_memory(RAM_BASE, memory)
        vm.init_ripas()
        vm.populate(RAM_BASE, bytes(program))
        for index in range(vcpus):
            vm.create_vcpu(RAM_BASE, runnable=index == 0).trap(wfi=True, wfe=False)
        vm.activate()
        return vm

    return make


@pytest.fixture
def start(realm):
    """Make a Realm that runs some code: its first vCPU."""

    def make(program: Code, **options) -> Vcpu:
        return realm(program, **options).vcpus[0]

    return make


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A machine with memory that a virtio driver shares with its device."""
    one = Bench()
    yield one
    one.close()
