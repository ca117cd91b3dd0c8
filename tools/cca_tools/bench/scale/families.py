"""What grows: the families of measurements, each of a size, in steps whose costs a meter takes."""

import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Final

from cca_arch.psci import Psci
from cca_arch.sysregs import MPIDR_AFFINITY
from cca_tools.bench import loops
from cca_tools.bench.rig import HOST_CALL, PAGE, RAM
from cca_tools.bench.took import held

if TYPE_CHECKING:
    from cca_host.kvm import Vm
    from realmlab.machine import Machine

__all__ = ["FAMILIES", "MEMORY", "Family", "Meter", "Step"]

MEMORY: Final = "memory"
"""The step whose cost is in bytes of the process; those of all others are seconds of the CPU."""
_DISTRIBUTOR, _REDISTRIBUTORS = 0x800_0000, 0x80A_0000
_SMALL: Final = 4  # pages of a Realm where something else counts
_OFTEN: Final = 20  # what takes no longer than a look at the clock of the CPU
_ROOM: Final = 16 << 20  # of a Realm, for code, device tree and what is round
_SLICE: Final = 50_000  # instructions of a time slice where vCPUs take turns
_TURNS: Final = 20_000  # of 256 instructions: a hundred time slices where vCPUs take turns
_SLEEP: Final = (0xD503_207F, 0x17FF_FFFF)  # WFI; B .-4
_AFFINITY: Final = MPIDR_AFFINITY
_GIB: Final = 1 << 30


class Meter:
    """Takes the ``costs`` of steps, by their names. A test counts something else than seconds and bytes."""

    def __init__(self, spent: Callable[[], float] = process_time, held: Callable[[], float] = held) -> None:
        self._spent = spent
        self._held = held
        self.costs: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step."""
        before = self._spent()
        yield
        self.costs[name] = self._spent() - before

    @contextmanager
    def memory(self) -> Iterator[None]:
        """A step, or several, whose memory counts."""
        gc.collect()
        before = self._held()
        yield
        gc.collect()
        self.costs[MEMORY] = self._held() - before


@dataclass(frozen=True, slots=True)
class Step:
    """A step: with ``grows`` its cost is to be that of its size, otherwise the same for each size."""

    name: str
    does: str
    grows: bool = True


@dataclass(frozen=True, slots=True)
class Family:
    """Measurements of several ``sizes``, in ``unit``: ``take(meter, size)`` does all steps of one."""

    name: str
    unit: str
    sizes: tuple[int, ...]
    steps: tuple[Step, ...]
    take: Callable[[Meter, int], None]


@contextmanager
def _machine() -> "Iterator[Machine]":
    """A machine on which everything has been done once."""
    from realmlab.machine import Machine

    with closing(Machine()) as machine:
        vm = _realm(machine)
        _enter(vm)
        vm.destroy()
        yield machine


def _realm(machine: "Machine", pages: int = _SMALL, recs: int = 1, meter: Meter | None = None) -> "Vm":
    """An active Realm that calls the Host for ever, on every page something that is not zero."""
    from cca_host.kvm import Vm

    vm = Vm(machine.host)
    vm.add_memory(RAM, pages * PAGE)
    vm.init_ripas()
    vm.populate(RAM, loops.code(loops.call_forever(HOST_CALL)))
    filled = b"\x5a" * PAGE
    for page in range(1, pages):
        vm.populate(RAM + page * PAGE, filled)
    vm.create_vgic(_DISTRIBUTOR, _REDISTRIBUTORS)
    with (meter or Meter()).step("create"):
        for _ in range(recs):
            vm.create_vcpu(RAM, [])
    vm.activate()
    return vm


def _enter(vm: "Vm") -> None:
    """One host call of each REC."""
    for vcpu in vm.vcpus:
        vcpu.run()


def _pages(meter: Meter, count: int) -> None:
    with _machine() as machine:
        with meter.memory(), meter.step("build"):
            vm = _realm(machine, count)
        with meter.step("destroy"):
            vm.destroy()


def _touched(meter: Meter, count: int) -> None:
    end = loops.call_forever(((0, int(Psci.SYSTEM_OFF)),))
    with _machine() as machine, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "touch.bin"
        path.write_bytes(loops.code([*loops.store_pages(1, RAM + PAGE), *end]))
        machine.run_realm(path, memory=count * PAGE + _ROOM)
        path.write_bytes(loops.code([*loops.store_pages(count, RAM + PAGE), *end]))
        with meter.memory():
            realm = machine.realm(path, memory=count * PAGE + _ROOM)
            with meter.step("touch"):
                result = realm.run()
        assert result.status == 0, result.message
        realm.destroy()


def _snapshots(meter: Meter, count: int) -> None:
    with _machine() as machine:
        vm = _realm(machine, count)
        port, page = machine.host.port, vm.staging
        first = machine.snapshot()
        machine.restore(first)
        with meter.step("restore"):
            for _ in range(_OFTEN):
                machine.restore(first)
        with meter.step("back"):
            for _ in range(_OFTEN):
                port.write(page, b"changed")
                machine.restore(first)
        with meter.step("snapshot"):
            for _ in range(_OFTEN):
                port.write(page, b"changed")
                machine.snapshot()


def _recs(meter: Meter, count: int) -> None:
    with _machine() as machine:
        with meter.memory():
            vm = _realm(machine, recs=count, meter=meter)
        with meter.step("enter"):
            _enter(vm)
        with meter.step("destroy"):
            vm.destroy()


def _realms(meter: Meter, count: int) -> None:
    with _machine() as machine:
        with meter.memory(), meter.step("build"):
            vms = [_realm(machine) for _ in range(count)]
        with meter.step("enter"):
            for vm in vms:
                _enter(vm)
        with meter.step("destroy"):
            for vm in vms:
                vm.destroy()


def _many(cpu_on: int, targets: Sequence[int], base: int, first: Sequence[int], others: Sequence[int]) -> bytes:
    """Code at ``base``: turn the ``targets`` on, which go on with ``others``, and go on with ``first``."""
    length = len(loops.call([(0, 0)] * 4)) * len(targets) + len(first)
    words: list[int] = []
    for target in targets:
        words += loops.call(((0, cpu_on), (1, target), (2, base + 4 * length), (3, 0)))
    return loops.code([*words, *first, *others])


def _sleepers(meter: Meter, count: int) -> None:
    targets = [index & 0xF | index >> 4 << 8 for index in range(1, count)]
    first = [*loops.arithmetic(_TURNS), *loops.call_forever(((0, int(Psci.SYSTEM_OFF)),))]
    code = _many(int(Psci.CPU_ON_64), targets, RAM, first, _SLEEP)
    started = len(code) // 4 + 2 * _SLICE  # instructions: the calls, and a slice, after which the others sleep
    with _machine() as machine, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sleepers.bin"
        path.write_bytes(code)
        with machine.realm(path, vcpus=count, memory="16M") as realm:
            with meter.step("start"):
                realm.run(max_insns=started)
            with meter.step("slices"):
                end = realm.run()
        assert end.status == 0, end.message


def _pes(meter: Meter, count: int) -> None:
    from cca_firmware.boot import boot
    from cca_firmware.package.nsimage import NsImage
    from cca_platform.board import Board
    from cca_platform.machine.machine import Machine
    from cca_rmm.rmm import Rmm

    board = Board.load("fvp")
    work = [*loops.arithmetic(_TURNS), *loops.call_forever(((0, int(Psci.CPU_OFF)),))]
    image = _many(int(Psci.CPU_ON_64), [mpidr & _AFFINITY for mpidr in board.pes[1:count]], board.ns_entry, work, work)
    with closing(Machine(board)) as machine:
        boot(machine, rmm=Rmm(machine), ns_images=[NsImage(image)])
        with meter.step("run"):
            machine.run()
        assert sum(pe.retired > _TURNS for pe in machine.pes) == count, "every PE must have done its work"


def _boards(meter: Meter, gib: int) -> None:
    from cca_platform.board import Bank, Board
    from realmlab.machine import Machine

    board = Board.load("fvp")
    more = gib * _GIB - sum(bank.size for bank in board.banks)
    if more < 0:
        board = replace(board, banks=board.banks[:1])
    elif more:
        board = replace(board, banks=(*board.banks, Bank(board.banks[-1].top, more)))
    Machine().close()
    with meter.memory(), meter.step("boot"):
        machine = Machine(board=board)
    with closing(machine):
        first = machine.snapshot()
        machine.restore(first)
        with meter.step("restore"):
            for _ in range(_OFTEN):
                machine.restore(first)


def _steps(**does: str) -> tuple[Step, ...]:
    return tuple(Step(name, text) for name, text in does.items())


def _same(**does: str) -> tuple[Step, ...]:
    return tuple(Step(name, text, grows=False) for name, text in does.items())


FAMILIES: Final = (
    Family("pages", "page", tuple(4**power for power in range(1, 10)), _steps(
        build="create a Realm, measure and populate every page", destroy="destroy it, scrubbing every page",
        memory="of this process, of which the page itself is 4,096 bytes",
    ), _pages),
    Family("touched", "page", tuple(4**power for power in range(1, 9)), _steps(
        touch="a store of the Realm, whose fault the Host mends", memory="of this process",
    ), _touched),
    Family("snapshots", "page", tuple(4**power for power in range(1, 9)), _same(
        restore="20 times, a machine that has not changed", back="20 times, when one page has changed",
        snapshot="20 times, each after a change of one page",
    ), _snapshots),
    Family("RECs", "REC", tuple(2**power for power in range(10)), _steps(
        create="create", enter="enter, a host call, exit", destroy="destroy", memory="of this process",
    ), _recs),
    Family("sleepers", "vCPU", tuple(2**power for power in range(1, 10)), (
        *_steps(start="PSCI CPU_ON, which sleeps at once"), *_same(slices="a hundred slices of the one that runs"),
    ), _sleepers),
    Family("Realms", "Realm", tuple(2**power for power in range(7)), _steps(
        build="build one of 4 pages", enter="enter, a host call, exit", destroy="destroy", memory="of this process",
    ), _realms),
    Family("PEs", "PE", (1, 2, 4, 8), _steps(run="5 million instructions on each"), _pes),
    Family("DRAM", "GiB", (2, 4, 8, 16), _steps(
        boot="boot", restore="20 times, a machine that has not changed", memory="of this process",
    ), _boards),
)  # fmt: skip
