"""The device tree of a Realm, and its flattened form (devicetree.org, version 17), which X0 points to."""

import struct
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from cca_arch.gic import GICD_SIZE, GICR_STRIDE, Ppi
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, RAM_BASE, UART_BASE, UART_SIZE, redistributor_base

__all__ = ["Node", "flatten", "realm_tree"]

_MAGIC, _VERSION, _LAST_COMPATIBLE = 0xD00D_FEED, 17, 16
_BEGIN_NODE, _END_NODE, _PROP, _END = (struct.pack(">I", token) for token in (1, 2, 3, 9))
_HEADER = struct.Struct(">10I")

_GIC_PHANDLE: Final = 1
_PPI, _LEVEL_HIGH = 1, 4
_FIRST_PPI: Final = 16
_TIMERS: Final = [cell for ppi in (13, 14, 11, 10) for cell in (_PPI, ppi, _LEVEL_HIGH)]
"""The EL3, EL1 physical, EL1 virtual and EL2 physical timers as PPI numbers: INTID - 16."""
_PMU_INTERRUPT: Final = [_PPI, Ppi.PMU - _FIRST_PPI, _LEVEL_HIGH]

Value = None | int | str | bytes | list[int] | tuple[str, ...]


class Node(Struct):
    """A node: ``props`` in order, then ``children``.

    A property is None (empty), an int (one cell), a list of ints (cells), a str, a tuple of str (a list) or bytes.
    """

    name: str
    props: dict[str, Value] = field(default_factory=dict)
    children: "list[Node]" = field(default_factory=list)


def _encode(value: Value) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode() + b"\0"
    if isinstance(value, tuple):
        return b"".join(item.encode() + b"\0" for item in value)
    cells = [value] if isinstance(value, int) else value
    return struct.pack(f">{len(cells)}I", *cells)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


class _Strings:
    """The strings block, with each property name once."""

    def __init__(self) -> None:
        self.data = b""
        self._offsets: dict[str, int] = {}

    def offset(self, name: str) -> int:
        if name not in self._offsets:
            self._offsets[name] = len(self.data)
            self.data += name.encode() + b"\0"
        return self._offsets[name]


def _structure(node: Node, strings: _Strings) -> bytes:
    parts = [_BEGIN_NODE, _pad(node.name.encode() + b"\0")]
    for name, value in node.props.items():
        data = _encode(value)
        parts += [_PROP, struct.pack(">2I", len(data), strings.offset(name)), _pad(data)]
    parts += [_structure(child, strings) for child in node.children]
    return b"".join([*parts, _END_NODE])


def flatten(root: Node) -> bytes:
    """Flatten the device tree ``root``: boot CPU 0, no reservations."""
    strings = _Strings()
    structure = _structure(root, strings) + _END
    reserved = bytes(16)
    at_structure = _HEADER.size + len(reserved)
    at_strings = at_structure + len(structure)
    header = _HEADER.pack(
        _MAGIC,
        at_strings + len(strings.data),
        at_structure,
        at_strings,
        _HEADER.size,
        _VERSION,
        _LAST_COMPATIBLE,
        0,
        len(strings.data),
        len(structure),
    )
    return header + reserved + structure + strings.data


def _cells(value: int) -> list[int]:
    """A 64-bit number as two cells."""
    return [value >> 32, value & 0xFFFF_FFFF]


def _interrupt_controller(vcpus: int) -> Node:
    redistributors = redistributor_base(vcpus)
    return Node(
        f"intc@{DISTRIBUTOR_BASE:x}",
        {
            "compatible": "arm,gic-v3",
            "#interrupt-cells": 3,
            "interrupt-controller": None,
            "reg": [
                *_cells(DISTRIBUTOR_BASE), *_cells(GICD_SIZE),
                *_cells(redistributors), *_cells(vcpus * GICR_STRIDE),
            ],
            "phandle": _GIC_PHANDLE,
        },
    )  # fmt: skip


_PMU: Final = Node("pmu", {"compatible": "arm,armv8-pmuv3", "interrupts": _PMU_INTERRUPT})


def realm_tree(memory: int, mpidrs: Sequence[int], bootargs: str, pmu: bool = False) -> Node:
    """The tree of a Realm with ``memory`` bytes of RAM and a CPU per MPIDR; device IPAs lack the shared bit."""
    uart = f"serial@{UART_BASE:x}"
    cpus = [
        Node(
            f"cpu@{mpidr:x}",
            {"device_type": "cpu", "compatible": "arm,armv8", "enable-method": "psci", "reg": mpidr},
        )
        for mpidr in mpidrs
    ]
    return Node(
        "",
        {"compatible": "linux,dummy-virt", "#address-cells": 2, "#size-cells": 2, "interrupt-parent": _GIC_PHANDLE},
        [
            Node("chosen", {"bootargs": bootargs, "stdout-path": f"/{uart}"}),
            Node(f"memory@{RAM_BASE:x}", {"device_type": "memory", "reg": [*_cells(RAM_BASE), *_cells(memory)]}),
            Node("cpus", {"#address-cells": 1, "#size-cells": 0}, cpus),
            Node("psci", {"compatible": ("arm,psci-1.0", "arm,psci-0.2"), "method": "smc"}),
            _interrupt_controller(len(mpidrs)),
            *([_PMU] if pmu else []),
            Node("timer", {"compatible": "arm,armv8-timer", "interrupts": _TIMERS, "always-on": None}),
            Node(
                uart,
                {
                    "compatible": "ns16550a",
                    "reg": [*_cells(UART_BASE), *_cells(UART_SIZE)],
                    "clock-frequency": 1_843_200,
                },
            ),
        ],
    )
