"""The setup that every row shares: one booted machine, Realms of a few pages."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cca_arch.rsi.v1_0 import Rsi
from cca_tools.bench import loops
from cca_tools.bench.took import Took, best

if TYPE_CHECKING:
    from cca_host.kvm import Vcpu, Vm
    from realmlab.machine import Machine

__all__ = ["CALL_PAGE", "DATA_PAGE", "HOST_CALL", "PAGE", "PAYLOAD", "RAM", "Bench"]

RAM: Final = 0x8000_0000
"""Where the Realms of the benchmark start."""
PAYLOAD: Final = "hello"
"""What a whole run runs."""
CALL_PAGE: Final = 1
DATA_PAGE: Final = 2
PAGE: Final = 0x1000
HOST_CALL: Final = ((0, int(Rsi.HOST_CALL)), (1, RAM + CALL_PAGE * PAGE))
"""The registers of a call of the Host, which a Realm's code makes again and again."""


class Bench:
    """One booted machine for all rows, and the Realms that they need."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        """Figures of rows to come, which one process gave together with that of another row."""

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

    def entries(self, words: Sequence[int], count: int = 1) -> Took:
        """What an entry takes, over ``count`` entries of a REC whose code calls the Host in a loop."""
        vm, vcpu = self.realm(words)

        def enter() -> None:
            for _ in range(count):
                vcpu.run()

        try:
            enter()
            return best(enter, count)
        finally:
            vm.destroy()
