"""The words of a block are numbered by their declarations, which say what is state."""

import pytest

from cca_platform.native import block
from cca_platform.native.layout import Layout


class TestLayout:
    """Declarations in their order."""

    def test_numbers(self) -> None:
        """Each declaration has the words after the one before; what is state comes first, by its names."""
        layout = Layout(16, kept=8)
        first, array = layout.word("one"), layout.words(3, "three", "x")
        named, last = layout.words(2, "two", "control compare"), layout.words(2, "the last")
        again = layout.word("more", "more")
        assert (first, array, named, last, again) == (8, 0, 3, 9, 5)
        assert layout.saved() == ("x0", "x1", "x2", "control", "compare", "more")

    def test_errors(self) -> None:
        """A block has a size, and each word that is state a name."""
        layout = Layout(4, kept=1)
        with pytest.raises(ValueError, match="a pair: 2 words must have a name each, not 3"):
            layout.words(2, "a pair", "a b c")
        with pytest.raises(ValueError, match="too much: the words must end at 1, not at 2"):
            layout.words(2, "too much", "a b")
        with pytest.raises(ValueError, match="more: the words must end at 4, not at 5"):
            layout.words(4, "more")


class TestBlocks:
    """The blocks that native code works on."""

    @pytest.mark.parametrize(("layout", "prefix"), [(block.MACHINE, "M_"), (block.PE, "P_"), (block.RECENT, "R_")])
    def test_every_word_has_a_name(self, layout: Layout, prefix: str) -> None:
        """What is declared is what modules find by name, and nothing twice."""
        names = {value for name, value in vars(block).items() if name.startswith(prefix) and not name.endswith("WORDS")}
        assert {words.first for words in layout.declared} <= names
        taken = [number for words in layout.declared for number in range(words.first, words.first + words.size)]
        assert len(set(taken)) == len(taken) and names <= set(taken)
        assert len(set(layout.saved())) == len(layout.saved())

    def test_order(self) -> None:
        """Code that takes several words at once relies on their order."""
        assert (block.P_VTCR, block.P_VTTBR) == (block.P_HCR + 1, block.P_HCR + 2)
        assert (block.P_SP, block.P_PC, block.P_PSTATE) == (block.P_X + 31, block.P_X + 32, block.P_X + 33)
        assert block.P_OUT_PA < block.P_FAULT_FSC < block.P_FAULT_GPT_LEVEL
        assert block.M_DIRTY < block.M_EXECUTED < block.M_SHADOW < block.M_CODE_WRITTEN
