"""The devices that every guest has: a UART and a real-time clock.

The UART's registers are together in its first page, and each has a page of its own behind that one, which its node of
the device tree names. So a guest can read LSR, which drivers poll before each character, without an exit: its page is
one that the host shows.
"""

from time import time
from typing import Final

from cca_arch.devicetree import Node, cells
from cca_arch.types import GRANULE_SIZE
from cca_host.kvmtool.devicetree import APB_CLOCK
from cca_host.kvmtool.door import Door
from cca_host.kvmtool.layout import RTC_BASE, RTC_SIZE, RTC_SPI, UART_BASE, UART_SIZE, UART_SPI
from cca_host.kvmtool.mmio import Devices
from cca_platform.board import DeviceRow
from cca_platform.devices.pl031 import Pl031
from cca_platform.devices.uart16550 import Uart16550

__all__ = ["attach_rtc", "attach_uart", "show_status"]

_UART_CLOCK: Final = 1_843_200  # 16 times 115,200 baud, the rate of a divisor of 1
_STRIDE: Final = GRANULE_SIZE
_REGISTERS: Final = 8
_LSR: Final = 5
_UART_NODE: Final = Node(
    "serial",
    {
        "compatible": "ns16550a",
        "reg": [*cells(UART_BASE), *cells(UART_SIZE)],
        "reg-shift": _STRIDE.bit_length() - 1,
        "clock-frequency": _UART_CLOCK,
    },
)
_RTC_NODE: Final = Node(
    "rtc", {"compatible": ("arm,pl031", "arm,primecell"), "clocks": APB_CLOCK, "clock-names": "apb_pclk"}
)


def attach_uart(devices: Devices) -> Uart16550:
    """The UART, which is the console that ``stdout-path`` names."""
    model = Uart16550(DeviceRow("uart", "uart16550", UART_BASE, UART_SIZE), devices.wiring("uart"))
    devices.attach(model, UART_BASE, _STRIDE, intid=UART_SPI, node=_UART_NODE)
    for number in range(1, _REGISTERS):
        devices.attach(model, UART_BASE + number * _STRIDE, _STRIDE, offset=number)
    return model


def show_status(uart: Uart16550, vm: Door) -> None:
    """Let a guest read LSR without an exit from here on, in the register's own page."""
    ipa = UART_BASE + _LSR * _STRIDE

    def show(value: int | None) -> None:
        if value is None:
            vm.hide(ipa)
        else:
            vm.show(ipa, value)

    uart.on_status = show
    uart.drive()


def attach_rtc(devices: Devices, date: int | str | None = None) -> Pl031:
    """The clock: ``date`` is now, in seconds since 1970, or "host" for the host's date.

    By default, it is the one that the board's clocks have.
    """
    model = Pl031(DeviceRow("rtc", "pl031", RTC_BASE, RTC_SIZE), devices.wiring("rtc"))
    devices.attach(model, RTC_BASE, RTC_SIZE, intid=RTC_SPI, node=_RTC_NODE)
    if date is not None:
        model.start_at(date if isinstance(date, int) else model.wiring.ask(lambda: int(time())))
    return model
