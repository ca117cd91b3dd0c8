"""Pages by address: as a dictionary has them, and as saved state keeps them."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_host.kvm.pagemap import PageMap

PAGE: Final = 0x1000
CHUNK: Final = 0x20_0000
ADDRESSES: Final = [PAGE * at for at in (0, 1, 511, 512, 513, 1 << 20, (1 << 36) - 1)]
STEPS = st.lists(st.tuples(st.sampled_from(("set", "pop", "save", "restore")), st.sampled_from(ADDRESSES),
                           st.integers(0, (1 << 36) - 1)), max_size=60)  # fmt: skip


@given(STEPS)
def test_like_a_dictionary(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is set, removed, saved and restored, in any order: it has the pages that a dictionary would have."""
    pages, expected = PageMap(), dict[int, int]()
    states = [(pages.save(), dict(expected))]
    for step, address, number in steps:
        if step == "set":
            pages[address] = expected[address] = PAGE * number
        elif step == "pop":
            assert pages.pop(address) == expected.pop(address, None)
        elif step == "save":
            states.append((pages.save(), dict(expected)))
        else:
            state, had = states[number % len(states)]
            pages.restore(state)
            expected = dict(had)
        assert (len(pages), bool(pages)) == (len(expected), bool(expected))
        assert {at: pages.get(at) for at in ADDRESSES} == {at: expected.get(at) for at in ADDRESSES}
    assert list(pages) == sorted(expected)
    assert list(pages.values()) == [expected[at] for at in sorted(expected)]
    other = PageMap()
    other.restore(pages.save())
    assert list(other) == list(pages)


def test_shared() -> None:
    """Two states have the same bytes for each 2 MiB in which nothing has changed."""
    pages = PageMap()
    for at in range(4):
        pages[at * CHUNK] = at * PAGE
    first = pages.save()
    pages[2 * CHUNK] = 9 * PAGE
    second = pages.save()
    assert [first[at] is second[at] for at in range(4)] == [True, True, False, True]


def test_missing() -> None:
    """A page that is not there is no page at 0."""
    pages = PageMap()
    assert PAGE not in pages and pages.get(PAGE) is None and pages.pop(PAGE, 7) == 7
    with pytest.raises(KeyError):
        pages[PAGE]
