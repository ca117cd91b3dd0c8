"""A Realm whose code does what the test says: it makes the SMC that the Host's answer to a host call names."""

from typing import Any

from rmm_host import PAGE, RAM, Host, Realm, to_code

from cca_arch.fields import Record
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.rsi.v1_0 import Rsi

__all__ = ["BUFFER", "CALL", "EMPTY", "STUB", "Stub", "stub_code"]

CALL, BUFFER, EMPTY = RAM + PAGE, RAM + 2 * PAGE, RAM + 9 * PAGE
_SAVED = 19  # X0..X18 come from the Host and go back to it
_PAIRS = [(first, min(first + 1, _SAVED - 1)) for first in range(0, _SAVED, 2)]


def _move(operation: str) -> str:
    return "; ".join(
        f"{operation}p x{first}, x{second}, [x20, #{8 + 8 * first}]"
        if first != second
        else f"{operation}r x{first}, [x20, #{8 + 8 * first}]"
        for first, second in _PAIRS
    )


def stub_code(call: int = CALL) -> str:
    """Assembly: for ever make a host call, take X0..X18 from its answer, make that SMC, report X0..X18."""
    pointer = "; ".join(f"movk x20, #{call >> shift & 0xFFFF}, lsl #{shift}" for shift in (16, 32))
    host_call = f"movz x0, #{Rsi.HOST_CALL & 0xFFFF}; movk x0, #{Rsi.HOST_CALL >> 16}, lsl #16; mov x1, x20; smc #0"
    return f"movz x20, #{call & 0xFFFF}; {pointer}; again: {host_call}; {_move('ld')}; smc #0; {_move('st')}; b again"


STUB = to_code(stub_code())


class Stub(Realm):
    """An ACTIVE Realm with that code, a page for host calls, a page of RAM at BUFFER, and nothing at EMPTY."""

    def __init__(self, host: Host, recs: int = 1, **params: Any) -> None:
        super().__init__(host, **params)
        self.write(RAM, STUB)
        self.write(CALL, b"")
        self.write(BUFFER, b"")
        for number in range(recs):
            self.rec(flags=int(number == 0))
        self.activate()
        first = self.enter()
        assert first.exit_reason == RecExitReason.HOST_CALL

    def ask(self, fid: int, *args: int) -> Record:
        """One SMC in the Realm: the exit that it makes itself, or the next host call with the results in gprs."""
        return self.enter(gprs=[int(value) & (1 << 64) - 1 for value in (fid, *args)])

    def answer(self, fid: int, *args: int) -> tuple[int, ...]:
        """X0..X18 after an SMC that the RMM answers without the Host."""
        exit = self.ask(fid, *args)
        assert exit.exit_reason == RecExitReason.HOST_CALL
        return tuple(exit.gprs[:_SAVED])
