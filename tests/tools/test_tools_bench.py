"""The benchmark's table and its loops; the figures themselves are no test."""

import io

import capstone
import pytest

from cca_tools.bench import ROWS, Bench, Measured, Row, loops, table

TIME = Row("t", "a path", "us", 10, 4, lambda bench: 0.0)
SHARE = Row("s", "a share", "% of bare", 80, 95, lambda bench: 0.0)


class TestVerdict:
    """Times must be small and shares large."""

    @pytest.mark.parametrize(
        ("row", "value", "verdict"),
        [
            (TIME, 4, "aim"),
            (TIME, 5, "must"),
            (TIME, 11, "MISSED"),
            (SHARE, 96, "aim"),
            (SHARE, 80, "must"),
            (SHARE, 79, "MISSED"),
        ],
    )
    def test_bounds(self, row: Row, value: float, verdict: str) -> None:
        """The bound itself is met."""
        assert Measured(row, value).verdict == verdict

    def test_no_figure(self) -> None:
        """A row that cannot be measured says why, in the table too."""
        stream = io.StringIO()
        table([Measured(TIME, None, "RuntimeError: no machine"), Measured(SHARE, 97.123)], stream)
        assert stream.getvalue().splitlines() == [
            "Path     Measured  Must  Aim  Unit       Verdict",
            "a path   -         10    4    us         no figure: RuntimeError: no machine",
            "a share  97.1      80    95   % of bare  aim",
        ]

    def test_names(self) -> None:
        """Names are unique, and bounds are in order."""
        assert len({row.name for row in ROWS}) == len(ROWS)
        assert all((row.must < row.aim) == row.larger_is_better for row in ROWS)


class TestLoops:
    """The loops are the instructions that they claim to be."""

    def disassemble(self, words: list[int]) -> list[str]:
        """Mnemonics and operands."""
        engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN)
        return [f"{one.mnemonic} {one.op_str}".strip() for one in engine.disasm(loops.code(words), 0x1000)]

    def test_stores(self) -> None:
        """A byte to where X20 points, a number of times or for ever."""
        text = self.disassemble(loops.store_many(3, 0x1C09_0000))
        assert text[4] == "mov x19, #3"
        assert text[8:] == ["strb w21, [x20]", "subs x19, x19, #1", "cbnz x19, #0x1020"]
        assert self.disassemble(loops.store_forever(1 << 32))[4:] == ["strb w21, [x20]", "b #0x1010"]

    def test_call_many(self) -> None:
        """Registers, SMC, count, branch back behind the counter's setup."""
        text = self.disassemble(loops.call_many(3, ((0, 0xC400_0190),)))
        assert text[0] == "mov x19, #3" and text[4:6] == ["mov x0, #0x190", "movk x0, #0xc400, lsl #16"]
        assert text[8:] == ["smc #0", "subs x19, x19, #1", "cbnz x19, #0x1010"]

    def test_call_forever(self) -> None:
        """The last instruction goes to the first."""
        text = self.disassemble(loops.call_forever(((1, 5),)))
        assert text[-2:] == ["smc #0", "b #0x1000"]

    def test_turn_length(self) -> None:
        """A turn is as long as it says."""
        assert len(loops.arithmetic(1, 100)) == 4 + 100
        assert len(loops.load_store(1, 0)) == 8 + loops.LOOP_LENGTH

    def test_lazy(self) -> None:
        """A Bench boots its machine when a row asks for it."""
        assert "machine" not in vars(Bench())
