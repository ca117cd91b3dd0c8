"""Rows of devices and faults: what leaves the code that runs, and comes back to it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cca_arch.psci import Psci
from cca_tools.bench import loops
from cca_tools.bench.calls import ns_each
from cca_tools.bench.guest import LOOPS, turn
from cca_tools.bench.places import NsEl2
from cca_tools.bench.rig import Bench
from cca_tools.bench.rows import Row
from cca_tools.bench.took import Took, best

if TYPE_CHECKING:
    from cca_firmware.package.nsimage import NsImage

__all__ = ["ROWS"]

_SHARED: Final = 1 << 32
"""An IPA of the shared half of the Realms here."""


def _loop(name: str) -> Callable[[Bench], Took]:
    """A turn of this loop at NS-EL2."""
    loop = next(one for one in LOOPS if one.name == name)
    return lambda bench: turn(NsEl2(), loop)[0]


def _mmio_real(bench: Bench) -> Took:
    return ns_each(_store_images, 10_000)


def _store_images(count: int) -> "list[NsImage]":
    """Send this many bytes by the first UART."""
    from cca_firmware.package.nsimage import NsImage
    from cca_platform.board import Board

    uart = next(row.base for row in Board.load("fvp").devices if row.name == "uart0")
    stores = loops.store_many(count, uart)
    return [NsImage(loops.code([*stores, *loops.call_forever(((0, int(Psci.SYSTEM_OFF)),))]))]


def _mmio(bench: Bench) -> Took:
    vm, vcpu = bench.realm(loops.store_forever(_SHARED))
    count = 1000

    def store() -> None:
        for _ in range(count):
            vcpu.run()
            vcpu.mmio_result()

    try:
        store()
        return best(store, count)
    finally:
        vm.destroy()


ROWS = (
    Row("mmio-read", "a read of a PL011 register by real NS-EL2 code", "us", (4, 1), (1, 0.5), _loop("device-read")),
    Row("mmio-real", "a byte from real NS-EL2 code to a UART", "us", 20, 10, _mmio_real),
    Row("mmio", "a Realm's access to a device, up to the VMM", "us", 100, 50, _mmio),
    Row("gpf-real", "a granule protection fault, taken by real NS-EL2 code", "us", (8, 4), (4, 2), _loop("gpf")),
    Row("trapped-mrs", "a trapped MRS at NS-EL2 (ICC_PMR_EL1)", "us", 1, 0.3, _loop("icc-read")),
)
