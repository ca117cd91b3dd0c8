"""Code of Realms that tell the Host what they see, for the tests of the host."""

from typing import Any

from cca_arch.rsi.v1_0 import Rsi
from cca_host.kvmtool.layout import RAM_BASE

__all__ = ["CALL", "SHARED", "report"]

SHARED = 1 << 32
"""The shared bit of an IPA."""
CALL = RAM_BASE + 0x1000
"""IPA of an RsiHostCall."""


def report(code: Any, *registers: int) -> Any:
    """A host call that shows some registers to the host in gprs[1..]."""
    code.mov(20, CALL).mov(21, 7).store(21, 20)
    for index, register in enumerate(registers):
        code.store(register, 20, 16 + 8 * index)
    return code.smc(Rsi.HOST_CALL, CALL)
