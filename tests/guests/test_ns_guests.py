"""The payloads of Non-secure EL2 run as BL33 on the fvp board, with the real firmware and RMM around them."""

import pytest

from cca_firmware.boot import boot
from cca_platform.board import Board
from cca_platform.machine import Machine
from cca_platform.sinks import Listing
from cca_platform.trace import Trace
from cca_platform.uart import Pl011
from cca_rmm.rmm import Rmm
from realmlab import find_payload

_WORLDS = ("Secure", "Realm", "Root")
_WAYS = ("load from", "store to", "fetch from")
OUTPUT = {
    "ns_rmi": "ns_rmi: 1000 calls of RMI_VERSION, 0 wrong\n",
    "ns_gpf": "".join(f"GPF  {way} {world} memory\n" for world in _WORLDS for way in _WAYS) + "ns_gpf: 0 wrong\n",
}


def _run(payload: str) -> tuple[str, Listing]:
    """Boot the payload as BL33 and run to its end: what UART0 sent, and the trace."""
    listing = Listing()
    machine = Machine(Board.load("fvp"), trace=Trace(listing))
    boot(machine, rmm=Rmm(machine), ns_image=find_payload(payload).read_bytes())
    machine.run(max_insns=10_000_000)
    uart = machine.bus.devices["uart0"]
    assert isinstance(uart, Pl011)
    output = bytes(uart.output).decode()
    machine.close()
    return output, listing


class TestNonSecure:
    @pytest.mark.parametrize("payload", OUTPUT)
    def test_output_and_trace(self, payload: str) -> None:
        """A payload at NS-EL2 sees the worlds as it should, ends by SYSTEM_OFF, and two runs are the same."""
        output, listing = _run(payload)
        assert output == OUTPUT[payload]
        assert _run(payload) == (output, listing)
