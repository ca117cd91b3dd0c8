"""AArch64 machine code from assembly, for every test."""

import contextlib
import functools
import re

import keystone

__all__ = ["assemble"]

# a decimal number; not a part of a name (X16), of an arrangement (V0.16B) or of a number of another kind (0x10, 1.5)
_DECIMAL = re.compile(r"(?<![\w.])[1-9][0-9]*(?![\w.])")


@functools.cache
def assemble(source: str, at: int) -> bytes:
    """The instructions of ``source``, which semicolons separate, for address ``at``.

    Keystone leaves the radix of plain numbers uninitialised for AArch64: what that memory held before says whether
    ``12`` is twelve or eighteen. Setting its syntax fails, but makes the radix sixteen; decimals are rewritten for it.
    A floating-point immediate is given as it is encoded: 0x70 is 1.0.
    """
    engine = keystone.Ks(keystone.KS_ARCH_ARM64, keystone.KS_MODE_LITTLE_ENDIAN)
    with contextlib.suppress(keystone.KsError):
        engine.syntax = keystone.KS_OPT_SYNTAX_RADIX16
    code, _ = engine.asm(_DECIMAL.sub(lambda number: hex(int(number[0])), source), at)
    return bytes(code)
