"""The index of words: each heading, name and value of the reference, and other words for them, with their places."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Final

from cca_tools.reference.structures import entries
from cca_tools.reference.text import NOTE, ManualError, table

__all__ = ["anchor", "words"]

_OTHERS: Final = "words.toml"
_STRUCTURES: Final = "structures.md"
_SKIPPED: Final = frozenset({"Words", "Failure conditions and state changes", "Every model", "Not shown", "Besides"})
_HEADING: Final = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def words(pages: Mapping[str, Callable[[], str]]) -> str:
    """The page, for the given pages of the reference by file name."""
    places: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for word, page, heading in _found(pages):
        places[word].setdefault(f"{page}#{anchor(heading)}", heading)
    rows = (
        (f"`{word}`" if "_" in word else word, ", ".join(f"[{heading}]({place})" for place, heading in there.items()))
        for word, there in sorted(places.items(), key=lambda one: (one[0].lower().strip("-"), one[0]))
    )
    return (
        f"{NOTE}\n# Index of words\n\nWhat the reference explains: structures and their members, values, commands, "
        "registers, and other words for them.\n\n" + table(("Word", "Where"), rows)
    )


def _found(pages: Mapping[str, Callable[[], str]]) -> Iterator[tuple[str, str, str]]:
    """(word, page, heading); raises ManualError for other words of a heading that no page has."""
    headings = {name: _HEADING.findall(page()) for name, page in pages.items()}
    for name, found in headings.items():
        for heading in found:
            if heading not in _SKIPPED:
                for word in heading.split(", "):
                    yield word, name, heading
    for entry in entries():
        for word in entry.words():
            yield word, _STRUCTURES, entry.title
    text = resources.files("cca_tools.reference").joinpath(_OTHERS).read_text(encoding="utf-8")
    for name, others in tomllib.loads(text).items():
        for heading, more in others.items():
            if heading not in headings.get(name, ()):
                raise ManualError(f"{_OTHERS} must name headings of the reference, not {heading!r} of {name}")
            for word in more:
                yield word, name, heading
