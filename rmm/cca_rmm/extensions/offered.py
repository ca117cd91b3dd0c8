"""The extensions by name, and a version that offers some of them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cca_arch.extensions import PAGING

if TYPE_CHECKING:
    from cca_rmm.base.version import Extension, Version

__all__ = ["extension", "with_extensions"]


def extension(name: str) -> "Extension":
    """The extension of this name, loaded only where it is offered: no other RMM's image has its code."""
    if name == PAGING:
        from cca_rmm.extensions.paging import EXTENSION
    else:
        from cca_rmm.extensions.sealing import EXTENSION
    return EXTENSION


def with_extensions(version: "Version", names: Iterable[str]) -> "Version":
    """``version`` with these extensions."""
    return version.extended(*(extension(name) for name in sorted(names)))
