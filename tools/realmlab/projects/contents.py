"""What is in the SDK: each file with the comment that it begins with."""

import re
from collections.abc import Iterator
from typing import Final

from .worlds import SDK

__all__ = ["contents"]

_FOLDERS: Final = ("include", "include/abi", "common", "realm", "ns", "secure", "rust")
_LICENCE: Final = "SPDX-License-Identifier"


def contents() -> dict[str, list[tuple[str, str]]]:
    """The files of each folder, with the first sentence of each."""
    return {folder: list(_files(folder)) for folder in _FOLDERS if (SDK / folder).is_dir()}


def _files(folder: str) -> Iterator[tuple[str, str]]:
    for path in sorted(path for path in (SDK / folder).iterdir() if path.is_file()):
        yield path.name, _sentence(path.read_text(encoding="utf-8"))


def _sentence(text: str) -> str:
    """The first sentence of the comment at the top."""
    words: list[str] = []
    for line in text.splitlines():
        inner = line.strip().removeprefix("/*").removeprefix("//!").removeprefix("//").removesuffix("*/").strip()
        if _LICENCE in line or (not line.lstrip().startswith(("//", "/*")) and not words):
            break
        words.append(inner)
        if re.search(r"\.(\s|$)", inner):
            break
    return re.split(r"\.(?:\s|$)", " ".join(words))[0]
