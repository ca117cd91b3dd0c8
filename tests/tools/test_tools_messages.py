"""The page of messages explains each of them."""

import pytest
from raised import Said, said

from cca_tools.reference.messages import find, rows

_SAID = list(said())
_WITHOUT_A_TEXT_OF_ITS_OWN = ("vCPU … takes", "PE … takes", "interrupted", "the Secure payload ")
"""How messages begin that are put together where the search does not look."""
_LITERAL = 4
"""Fewer characters than this do not explain a message."""


class TestPage:
    """The page of messages."""

    @pytest.mark.parametrize("one", _SAID, ids=lambda one: one.place)
    def test_every_message(self, one: Said) -> None:
        """Each message of the sources is explained by a row with words of its own."""
        found = find(one.text)
        assert found is not None, one
        assert found.literal >= _LITERAL, (one, found.says)

    def test_no_others(self) -> None:
        """Each row of the page explains a message."""
        used = {found.says for one in _SAID if (found := find(one.text)) is not None}
        unused = [row.says for row in rows() if row.says not in used]
        assert [says for says in unused if not says.startswith(_WITHOUT_A_TEXT_OF_ITS_OWN)] == []

    def test_words(self) -> None:
        """Cause and remedy are sentences."""
        for row in rows():
            for text in (row.cause, row.remedy):
                assert text[0].isupper() or text[0] in "`[", row
                assert text.endswith((".", "`.")), row
