"""The page of messages explains each of them."""

import pytest
from raised import Said, said

from cca_tools.cli import main
from cca_tools.reference.messages import causes, find, messages, rows
from realmlab.failure import CAUSES

_SAID = list(said())
_ELSEWHERE = (
    "vCPU … takes", "PE … takes", "interrupted", "the Secure payload ", "… has its ELF headers", "… has a segment at",
    "No such ", "Missing argument ", "Invalid value ", "Got unexpected ", "Option … requires ",
)  # fmt: skip
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
        assert [says for says in unused if not says.startswith(_ELSEWHERE)] == []

    def test_words(self) -> None:
        """Cause and remedy are sentences."""
        for row in rows():
            for text in (row.cause, row.remedy):
                assert text[0].isupper() or text[0] in "`[", row
                assert text.endswith((".", "`.")), row

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["run", "hello", "--no"], "No such option"),
            (["run", "hello", "--vcpu", "2"], "No such option"),
            (["walk"], "No such command"),
            (["run"], "Missing argument"),
            (["run", "hello", "--vcpus", "two"], "Invalid value for"),
            (["payloads", "hello"], "Got unexpected extra argument"),
            (["run", "hello", "--memory"], "Option … requires an argument"),
            (["run", "hello", "--memory", "64"], "`memory` must be at least"),
            (["run", "helo"], "payload must be a file or the name"),
            (["run", "spin", "--max-insns", "1000"], "the limit of … instructions is reached"),
            (["run", "idle"], "…"),
            (["run", "lost"], "…"),
        ],
    )
    def test_command_lines(self, words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
        """What a command line prints is explained: by its own row, or by the cause of a failed run."""
        main(words)
        line = next(one for one in capsys.readouterr().err.splitlines() if one.startswith("realmlab: "))
        found = find(line.removeprefix("realmlab: "))
        assert found is not None and (found.says.startswith(says) or found.group not in {row.group for row in rows()})

    def test_causes(self) -> None:
        """Each cause of a failed run is on the page by its name, with what helps."""
        page = messages()
        for rules in CAUSES.values():
            for rule in rules:
                assert page.count(f"\n| `{rule.name}` | ") == 1
        assert {row.group for found in causes().values() for row in found if not row.remedy} == set()
