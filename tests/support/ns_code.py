"""Little programs for Non-secure EL2 of the fvp board, from assembly."""

import assembly

__all__ = ["ENTRY", "FOREVER", "OFF", "RESET", "UART0", "assemble", "constant", "say"]

ENTRY = 0x8800_0000
UART0 = 0x1C09_0000
OFF = "movz x0, #0x8400, lsl #16; movk x0, #8; smc #0;"
RESET = "movz x0, #0x8400, lsl #16; movk x0, #9; smc #0;"
FOREVER = "forever: b forever;"


def assemble(source: str, at: int = ENTRY) -> bytes:
    """AArch64 machine code for address ``at``."""
    return assembly.assemble(source, at)


def constant(register: str, value: int) -> str:
    """Instructions that load a 64-bit constant."""
    parts = [f"movz {register}, #{value & 0xFFFF};"]
    parts += [f"movk {register}, #{value >> s & 0xFFFF}, lsl #{s};" for s in (16, 32, 48) if value >> s & 0xFFFF]
    return " ".join(parts)


def say(text: str, uart: int = UART0) -> str:
    """Instructions that send a text, byte by byte; they use X1 and X2."""
    sends = "".join(f"mov w1, #{byte}; str w1, [x2];" for byte in text.encode())
    return f"{constant('x2', uart)} {sends}"
