"""The setup that every row shares: one booted machine, Realms of a few pages, the best of several batches."""

from collections.abc import Callable, Sequence
from functools import cached_property
from time import process_time
from typing import TYPE_CHECKING, Final

from cca_tools.bench import loops

if TYPE_CHECKING:
    from cca_host.kvm import Vcpu, Vm
    from realmlab.machine import Machine

__all__ = ["BATCHES", "CALL_PAGE", "DATA_PAGE", "PAGE", "RAM", "Bench", "best"]

BATCHES: Final = 5
RAM: Final = 0x8000_0000
"""Where the Realms of the benchmark start."""
CALL_PAGE: Final = 1
DATA_PAGE: Final = 2
PAGE: Final = 0x1000


def best(action: Callable[[], object], count: int = 1, batches: int = BATCHES) -> float:
    """CPU seconds per action in the best batch; one call of ``action`` does ``count`` of them."""
    times = []
    for _ in range(batches):
        start = process_time()
        action()
        times.append(process_time() - start)
    return min(times) / count


class Bench:
    """One booted machine for all rows, and the Realms that they need."""

    def close(self) -> None:
        """Give the machine back, if a row asked for it."""
        if "machine" in vars(self):
            self.machine.close()

    @cached_property
    def machine(self) -> "Machine":
        """Booted on first use."""
        from realmlab.machine import Machine

        return Machine()

    def realm(self, words: Sequence[int], pages: int = 4, measure: bool = True) -> "tuple[Vm, Vcpu]":
        """An active Realm of ``pages`` pages with one REC at the start of ``words``."""
        from cca_host.kvm import Vm

        vm = Vm(self.machine.host)
        vm.add_memory(RAM, pages * PAGE)
        vm.init_ripas()
        vm.populate(RAM, loops.code(words).ljust(pages * PAGE, b"\0"), measure)
        vcpu = vm.create_vcpu(RAM, [])
        vm.activate()
        return vm, vcpu

    def entries(self, words: Sequence[int], count: int = 1) -> float:
        """Seconds per entry, over ``count`` entries of a REC whose code calls the Host in a loop."""
        vm, vcpu = self.realm(words)

        def enter() -> None:
            for _ in range(count):
                vcpu.run()

        try:
            enter()
            return best(enter, count)
        finally:
            vm.destroy()
