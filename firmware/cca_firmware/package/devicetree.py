"""The device tree of a board for Non-secure software: what the board's table says, in the bindings of Linux."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cca_arch.devicetree import Node, Value, cells
from cca_arch.gic import FIRST_SPI, GICD_SIZE, GICR_STRIDE, Ppi
from cca_arch.psci import mpidr_affinity
from cca_arch.types import Pas
from cca_platform.board import Board, DeviceRow

__all__ = ["board_tree"]

_GIC, _CLOCKS, _GPIOS = 1, 2, 0x100  # phandles: the interrupt controller; clocks and GPIOs from these on
_SPI, _PPI, _LEVEL_HIGH = 0, 1, 4
_FIRST_PPI: Final = 16
_UART_HZ: Final = 24_000_000
_APB_HZ: Final = 24_000_000
_WATCHDOG_HZ: Final = 32_768
_WATCHDOG_PAGE: Final = 0x1_0000
_SP804_HZ: Final = 1_000_000
_REFERENCE_HZ: Final = 32_768
_FW_CFG_SIZE: Final = 0x18
_FLASH_BYTES: Final = 4  # of its bus
_KEY_POWER: Final = 116  # of Linux


class _Clocks:
    """The fixed clocks of a tree, one for each rate."""

    def __init__(self) -> None:
        self._rates: list[int] = []

    def __call__(self, *rates: int) -> list[int]:
        """The phandles of clocks with these rates."""
        self._rates += [rate for rate in dict.fromkeys(rates) if rate not in self._rates]
        return [_CLOCKS + self._rates.index(rate) for rate in rates]

    def nodes(self) -> Iterator[Node]:
        """The nodes of all clocks."""
        for index, rate in enumerate(self._rates):
            props: dict[str, Value] = {"compatible": "fixed-clock", "#clock-cells": 0, "clock-frequency": rate}
            yield Node(f"clock-{rate}", {**props, "phandle": _CLOCKS + index})


def _ppis(*ppis: Ppi) -> list[int]:
    return [cell for ppi in ppis for cell in (_PPI, ppi - _FIRST_PPI, _LEVEL_HIGH)]


def _spi(row: DeviceRow) -> list[int]:
    return [_SPI, row.irq - FIRST_SPI, _LEVEL_HIGH]


def _reg(*frames: tuple[int, int]) -> list[int]:
    return [cell for base, size in frames for cell in (*cells(base), *cells(size))]


def _node(name: str, row: DeviceRow, compatible: Value, **props: Value) -> Node:
    """The node of a device, with its interrupt."""
    found: dict[str, Value] = {"compatible": compatible, "reg": _reg((row.base, row.size))}
    if row.irq:
        found["interrupts"] = _spi(row)
    return Node(f"{name}@{row.base:x}", found | {key.replace("_", "-"): value for key, value in props.items()})


# -- devices -----------------------------------------------------------------------------------------------------------
def _pl011(row: DeviceRow, clocks: _Clocks, board: Board) -> Node:
    rates = clocks(row.options.get("clock_hz", _UART_HZ), _APB_HZ)
    names = ("uartclk", "apb_pclk")
    return _node("serial", row, ("arm,pl011", "arm,primecell"), clocks=rates, clock_names=names)


def _pl031(row: DeviceRow, clocks: _Clocks, board: Board) -> Node:
    return _node("rtc", row, ("arm,pl031", "arm,primecell"), clocks=clocks(_APB_HZ), clock_names="apb_pclk")


def _sp805(row: DeviceRow, clocks: _Clocks, board: Board) -> Node:
    rates = clocks(row.options.get("clock_hz", _WATCHDOG_HZ), _APB_HZ)
    names = ("wdog_clk", "apb_pclk")
    return _node("watchdog", row, ("arm,sp805", "arm,primecell"), clocks=rates, clock_names=names)


def _generic_watchdog(row: DeviceRow, clocks: _Clocks, board: Board) -> Node:
    frames = (row.base + row.options.get("refresh", _WATCHDOG_PAGE), row.base + row.options.get("control", 0))
    node = _node("watchdog", row, "arm,sbsa-gwdt", reg=_reg(*((base, _WATCHDOG_PAGE) for base in frames)))
    node.name = f"watchdog@{frames[0]:x}"
    return node


def _generic_timer(row: DeviceRow, clocks: _Clocks, board: Board) -> Node:
    """The control frame, with the timer frames that Non-secure software has."""
    frames = (
        one
        for one in board.devices
        if one.kind == "generic-timer-frame" and one.options.get("control") == row.name and _is_ns(one)
    )
    children = []
    for one in frames:
        props: dict[str, Value] = {"reg": [*cells(one.base), one.size], "frame-number": one.options["frame"]}
        children.append(Node(f"frame@{one.base:x}", props | {"interrupts": _spi(one)}))
    node = _node("timer", row, "arm,armv7-timer-mem")
    node.props |= {"#address-cells": 2, "#size-cells": 1, "ranges": None}
    node.children = children
    return node


def _sp804(row: DeviceRow, clocks: _Clocks, board: Board) -> Node:
    """Behind a system controller, the clocks are those that it selects after a reset."""
    rate = row.options.get("clock_hz", _SP804_HZ)
    if "controller" in row.options:
        rate = board.device(row.options["controller"]).options.get("reference_hz", _REFERENCE_HZ)
    rates = clocks(rate, rate, _APB_HZ)
    names = ("timer1", "timer2", "apb_pclk")
    return _node("timer", row, ("arm,sp804", "arm,primecell"), clocks=rates, clock_names=names)


def _pl061(row: DeviceRow, clocks: _Clocks, board: Board) -> Node:
    node = _node("gpio", row, ("arm,pl061", "arm,primecell"), clocks=clocks(_APB_HZ), clock_names="apb_pclk")
    node.props |= {"gpio-controller": None, "#gpio-cells": 2, "interrupt-controller": None, "#interrupt-cells": 2}
    node.props["phandle"] = _GPIOS + board.devices.index(row)
    return node


def _fw_cfg(row: DeviceRow, clocks: _Clocks, board: Board) -> Node:
    return _node("fw-cfg", row, "qemu,fw-cfg-mmio", reg=_reg((row.base, _FW_CFG_SIZE)), dma_coherent=None)


def _cfi_flash(row: DeviceRow, clocks: _Clocks, board: Board) -> Node:
    return _node("flash", row, "cfi-flash", bank_width=_FLASH_BYTES)


_MAKERS: Final[dict[str, Callable[[DeviceRow, _Clocks, Board], Node]]] = {
    "cfi-flash": _cfi_flash,
    "fw-cfg": _fw_cfg,
    "generic-timer": _generic_timer,
    "generic-watchdog": _generic_watchdog,
    "pl011": _pl011,
    "pl031": _pl031,
    "pl061": _pl061,
    "sp804": _sp804,
    "sp805": _sp805,
}
"""The nodes by kind of device; all others have none."""


def _is_ns(row: DeviceRow) -> bool:
    return Pas.NON_SECURE in row.pases


# -- the board ---------------------------------------------------------------------------------------------------------
def _cpus(board: Board) -> Node:
    """The CPUs by affinity."""
    wide = 1 + any(mpidr_affinity(mpidr) >> 32 for mpidr in board.pes)
    nodes = [
        Node(
            f"cpu@{affinity:x}",
            {
                "device_type": "cpu",
                "compatible": "arm,armv8",
                "enable-method": "psci",
                "reg": cells(affinity)[-wide:],
            },
        )
        for affinity in map(mpidr_affinity, board.pes)
    ]
    return Node("cpus", {"#address-cells": wide, "#size-cells": 0}, nodes)


def _memory(board: Board) -> Iterator[Node]:
    """The DRAM of Non-secure software. What it cannot have is left out, and reserved for those who know better."""
    for bank in board.ns_banks():
        yield Node(f"memory@{bank.base:x}", {"device_type": "memory", "reg": _reg((bank.base, bank.size))})
    reserved = [
        Node(f"{region.name}@{region.base:x}", {"reg": _reg((region.base, region.size)), "no-map": None})
        for region in board.regions
        if region.pas != Pas.NON_SECURE
    ]
    yield Node("reserved-memory", {"#address-cells": 2, "#size-cells": 2, "ranges": None}, reserved)


def _gic(board: Board) -> Node:
    gic = board.gic
    return Node(
        f"interrupt-controller@{gic.distributor:x}",
        {
            "compatible": "arm,gic-v3",
            "#interrupt-cells": 3,
            "interrupt-controller": None,
            "reg": _reg((gic.distributor, GICD_SIZE), (gic.redistributors, GICR_STRIDE * len(board.pes))),
            "interrupts": _ppis(Ppi.MAINTENANCE),
            "phandle": _GIC,
        },
    )


def _general(devices: Sequence[tuple[DeviceRow, Node]]) -> Iterator[Node]:
    """The nodes that are no hardware: PSCI, the console, and names of UARTs."""
    uarts = [node.name for row, node in devices if row.kind == "pl011"]
    yield Node("chosen", {"stdout-path": f"/{uarts[0]}"} if uarts else {})
    yield Node("aliases", {f"serial{index}": f"/{name}" for index, name in enumerate(uarts)})
    yield Node("psci", {"compatible": ("arm,psci-1.0", "arm,psci-0.2"), "method": "smc"})


def _private() -> Iterator[Node]:
    """The timers and the PMU of each PE."""
    timers = _ppis(Ppi.CNTPS, Ppi.CNTP, Ppi.CNTV, Ppi.CNTHP)
    yield Node("timer", {"compatible": "arm,armv8-timer", "interrupts": timers, "always-on": None})
    yield Node("pmu", {"compatible": "arm,armv8-pmuv3", "interrupts": _ppis(Ppi.PMU)})


def _buttons(board: Board) -> Iterator[Node]:
    """The power button, where a GPIO has one."""
    for index, row in enumerate(board.devices):
        if row.kind == "pl061" and _is_ns(row) and "power_button" in row.options:
            props: dict[str, Value] = {"label": "Power button", "linux,code": _KEY_POWER}
            button = Node("poweroff", props | {"gpios": [_GPIOS + index, row.options["power_button"], 0]})
            yield Node("gpio-keys", {"compatible": "gpio-keys"}, [button])


def board_tree(board: Board) -> Node:
    """The tree: CPUs, PSCI, interrupt controller, timers, PMU, memory, and the devices that Linux has drivers for."""
    clocks = _Clocks()
    rows = (row for row in board.devices if _is_ns(row) and row.kind in _MAKERS)
    devices = [(row, _MAKERS[row.kind](row, clocks, board)) for row in rows]
    root: dict[str, Value] = {
        "compatible": f"realmlab,{board.name}",
        "model": f"Realmlab {board.name}",
        "#address-cells": 2,
        "#size-cells": 2,
        "interrupt-parent": _GIC,
    }
    nodes = (*_general(devices), _cpus(board), *_memory(board), _gic(board), *_private(), *clocks.nodes())
    return Node("", root, [*nodes, *(node for _, node in devices), *_buttons(board)])
