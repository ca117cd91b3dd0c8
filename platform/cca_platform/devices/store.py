"""Contents of memory devices: sparse, and immutable page by page, so that saving them costs nothing."""

from collections.abc import Iterator, Mapping
from typing import Final

__all__ = ["Store"]

_PAGE: Final = 0x1000


class Store:
    """The bytes of a device; those that were never written read as ``fill``."""

    def __init__(self, fill: int = 0) -> None:
        self._blank: Final = bytes((fill,)) * _PAGE
        self._pages: dict[int, bytes] = {}

    def read(self, offset: int, size: int) -> bytes:
        """The bytes from ``offset`` on."""
        return b"".join(self._page(page)[start:end] for page, start, end in _parts(offset, size))

    def write(self, offset: int, data: bytes) -> None:
        """Replace the bytes from ``offset`` on."""
        done = 0
        for page, start, end in _parts(offset, len(data)):
            old = self._page(page)
            self._pages[page] = old[:start] + data[done : done + end - start] + old[end:]
            done += end - start

    def _page(self, page: int) -> bytes:
        return self._pages.get(page, self._blank)

    def save(self) -> dict[int, bytes]:
        """The pages that were written, by number."""
        return dict(self._pages)

    def restore(self, pages: Mapping[int, bytes]) -> None:
        """Replace the contents with what ``save`` returned, or with nothing: as new."""
        self._pages = dict(pages)


def _parts(offset: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(Page, start, end) of each page of a range."""
    end = offset + size
    while offset < end:
        page, start = divmod(offset, _PAGE)
        stop = min(_PAGE, start + end - offset)
        yield page, start, stop
        offset += stop - start
