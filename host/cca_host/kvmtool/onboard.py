"""The devices that every guest has: a UART and a real-time clock."""

from typing import Final

from cca_arch.devicetree import Node
from cca_host.kvmtool.devicetree import APB_CLOCK
from cca_host.kvmtool.layout import RTC_BASE, RTC_SIZE, RTC_SPI, UART_BASE, UART_SIZE, UART_SPI
from cca_host.kvmtool.mmio import Devices
from cca_platform.board import DeviceRow
from cca_platform.devices.pl031 import Pl031
from cca_platform.devices.uart16550 import Uart16550

__all__ = ["attach_rtc", "attach_uart"]

_UART_CLOCK: Final = 1_843_200  # 16 times 115,200 baud, the rate of a divisor of 1
_UART_NODE: Final = Node("serial", {"compatible": "ns16550a", "clock-frequency": _UART_CLOCK})
_RTC_NODE: Final = Node(
    "rtc", {"compatible": ("arm,pl031", "arm,primecell"), "clocks": APB_CLOCK, "clock-names": "apb_pclk"}
)


def attach_uart(devices: Devices) -> Uart16550:
    """The UART, which is the console that ``stdout-path`` names."""
    model = Uart16550(DeviceRow("uart", "uart16550", UART_BASE, UART_SIZE), devices.wiring("uart"))
    devices.attach(model, UART_BASE, UART_SIZE, intid=UART_SPI, node=_UART_NODE)
    return model


def attach_rtc(devices: Devices) -> Pl031:
    """The clock with the date."""
    model = Pl031(DeviceRow("rtc", "pl031", RTC_BASE, RTC_SIZE), devices.wiring("rtc"))
    devices.attach(model, RTC_BASE, RTC_SIZE, intid=RTC_SPI, node=_RTC_NODE)
    return model
