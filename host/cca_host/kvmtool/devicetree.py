"""The device tree of a Realm, which X0 points to."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from cca_arch.devicetree import Node, Value, cells
from cca_arch.gic import GICD_SIZE, GICR_STRIDE, Ppi
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, MESSAGE_SPIS, RAM_BASE, UART_BASE, redistributor_base

__all__ = ["APB_CLOCK", "GIC", "realm_tree", "seeds"]

GIC: Final = 1
"""The phandle of the interrupt controller,"""
APB_CLOCK: Final = 2
"""and of the clock that PrimeCell devices name."""
_SEEDS: Final = {"kaslr-seed": 8, "rng-seed": 32}
_APB_HZ: Final = 24_000_000
_PPI, _LEVEL_HIGH = 1, 4
_FIRST_PPI: Final = 16
_TIMERS: Final = [cell for ppi in (13, 14, 11, 10) for cell in (_PPI, ppi, _LEVEL_HIGH)]
"""The EL3, EL1 physical, EL1 virtual and EL2 physical timers as PPI numbers: INTID - 16."""
_PMU_INTERRUPT: Final = [_PPI, Ppi.PMU - _FIRST_PPI, _LEVEL_HIGH]


def _interrupt_controller(vcpus: int) -> Node:
    redistributors = redistributor_base(vcpus)
    return Node(
        f"intc@{DISTRIBUTOR_BASE:x}",
        {
            "compatible": "arm,gic-v3",
            "#interrupt-cells": 3,
            "interrupt-controller": None,
            "msi-controller": None,
            "mbi-ranges": [MESSAGE_SPIS.start, len(MESSAGE_SPIS)],
            "reg": [
                *cells(DISTRIBUTOR_BASE), *cells(GICD_SIZE),
                *cells(redistributors), *cells(vcpus * GICR_STRIDE),
            ],
            "phandle": GIC,
        },
    )  # fmt: skip


_PMU: Final = Node("pmu", {"compatible": "arm,armv8-pmuv3", "interrupts": _PMU_INTERRUPT})


_CLOCK: Final = Node(
    "apb-pclk", {"compatible": "fixed-clock", "#clock-cells": 0, "clock-frequency": _APB_HZ, "phandle": APB_CLOCK}
)


def seeds(number: int) -> dict[str, Value]:
    """The properties of ``chosen`` that a kernel takes randomness from, made of a number by SHA-256.

    The Realm's owner must be able to compute the measurement of the tree, so they are no secret: a kernel needs other
    entropy, too.
    """
    made = {
        name: sha256(f"realmlab {name} {number}".encode()).digest()[:size] for name, size in _SEEDS.items()
    }  # fmt: skip
    return dict(made)


def realm_tree(
    memory: int,
    mpidrs: Sequence[int],
    chosen: Mapping[str, Value],
    devices: Sequence[Node] = (),
    pmu: bool = False,
    conduit: str = "smc",
) -> Node:
    """The tree of a Realm with ``memory`` bytes of RAM and a CPU per MPIDR; device IPAs lack the shared bit.

    ``devices`` are the nodes of the device table, the UART at ``UART_BASE`` among them; ``chosen`` is what the VMM
    tells the software, ``conduit`` how it calls PSCI.
    """
    cpus = [
        Node(
            f"cpu@{mpidr:x}",
            {"device_type": "cpu", "compatible": "arm,armv8", "enable-method": "psci", "reg": mpidr},
        )
        for mpidr in mpidrs
    ]
    return Node(
        "",
        {"compatible": "linux,dummy-virt", "#address-cells": 2, "#size-cells": 2, "interrupt-parent": GIC},
        [
            Node("chosen", {**chosen, "stdout-path": f"/serial@{UART_BASE:x}"}),
            Node(f"memory@{RAM_BASE:x}", {"device_type": "memory", "reg": [*cells(RAM_BASE), *cells(memory)]}),
            Node("cpus", {"#address-cells": 1, "#size-cells": 0}, cpus),
            Node("psci", {"compatible": ("arm,psci-1.0", "arm,psci-0.2"), "method": conduit}),
            _interrupt_controller(len(mpidrs)),
            *([_PMU] if pmu else []),
            Node("timer", {"compatible": "arm,armv8-timer", "interrupts": _TIMERS, "always-on": None}),
            *([_CLOCK] if devices else []),
            *devices,
        ],
    )
