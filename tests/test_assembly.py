"""The assembler of the tests reads every number as it is written."""

import pytest
from assembly import assemble


class TestNumbers:
    @pytest.mark.parametrize(
        ("source", "code"),
        [
            ("movz x0, #12", 0xD2800180),
            ("movz x0, #0x12", 0xD2800240),
            ("movz x0, #0x3c1 + 4 * 20", 0xD2808220),
            ("add x10, x11, x12, lsl #16", 0x8B0C416A),
            ("mov v10.16b, v11.16b", 0x4EAB1D6A),
            ("mov x0, v31.d[1]", 0x4E183FE0),
            ("fmov d10, #0x70", 0x1E6E100A),  # 1.0
            ("tbz x10, #33, l10; l10:", 0xB608002A),
        ],
    )
    def test_decimals(self, source: str, code: int) -> None:
        """A decimal number is not read as a hexadecimal one, whatever the memory of the process held before."""
        assert assemble(source, 0x8800_0000) == code.to_bytes(4, "little")
