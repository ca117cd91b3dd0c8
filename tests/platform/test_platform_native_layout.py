"""The words of a block are numbered by their declarations, which say what is state."""

import pytest

from cca_platform.native import block
from cca_platform.native.layout import Layout, Run


class TestLayout:
    """Declarations in their order."""

    def test_numbers(self) -> None:
        """Each declaration has the words after the one before; runs and names are of what is state."""
        layout = Layout(16)
        first, array = layout.word("one"), layout.words(3, "three", "x")
        named, last = layout.words(2, "two", "control compare"), layout.word("the last")
        again = layout.word("more", "more")
        assert (first, array, named, last, again, layout.size) == (0, 1, 4, 6, 7, 8)
        assert layout.saved() == ("x0", "x1", "x2", "control", "compare", "more")
        assert layout.runs() == (Run(1, 5), Run(7, 1))

    def test_errors(self) -> None:
        """A block has a size, and each word that is state a name."""
        layout = Layout(2)
        with pytest.raises(ValueError, match="a pair: 2 words must have a name each, not 3"):
            layout.words(2, "a pair", "a b c")
        layout = Layout(2)
        with pytest.raises(ValueError, match="too much: the block must have at most 2 words"):
            layout.words(3, "too much")


class TestBlocks:
    """The blocks that native code works on."""

    @pytest.mark.parametrize(("layout", "prefix"), [(block.MACHINE, "M_"), (block.PE, "P_")])
    def test_every_word_has_a_name(self, layout: Layout, prefix: str) -> None:
        """What is declared is what modules find by name, and nothing twice."""
        names = {value for name, value in vars(block).items() if name.startswith(prefix) and not name.endswith("WORDS")}
        assert {words.first for words in layout.declared} <= names
        assert all(0 <= number < layout.size for number in names)
        assert len(set(layout.saved())) == len(layout.saved())

    def test_order(self) -> None:
        """Code that takes several words at once relies on their order."""
        assert (block.P_VTCR, block.P_VTTBR) == (block.P_HCR + 1, block.P_HCR + 2)
        assert (block.P_SP, block.P_PC, block.P_PSTATE) == (block.P_X + 31, block.P_X + 32, block.P_X + 33)
        assert block.P_OUT_PA < block.P_FAULT_FSC < block.P_FAULT_GPT_LEVEL
        assert block.M_DIRTY < block.M_EXECUTED < block.M_SHADOW < block.M_CODE_WRITTEN
