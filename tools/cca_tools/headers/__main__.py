"""Write the headers of the SDK."""

import sys
from collections.abc import Iterator
from pathlib import Path

from realmlab.projects.worlds import SDK

from .c import NOTE, c_header, c_words
from .rust import rust_source
from .tables import BOARDS, HEADERS, WORDS

__all__ = ["files", "main"]

_NUMBER = f"""// Numbers for C and for assembly. {NOTE}
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_NUMBER_H
#define ABI_NUMBER_H

#ifdef __ASSEMBLER__
#define U64(number) number
#else
#include "types.h"
#define U64_(number) number##ul
#define U64(number) U64_(number)
#endif

#endif
"""


def files() -> Iterator[tuple[Path, str]]:
    """Each generated file of the SDK with its text."""
    yield SDK / "include" / "abi" / "number.h", _NUMBER
    for name, header in (HEADERS | BOARDS).items():
        yield SDK / "include" / "abi" / f"{name}.h", c_header(name, header)
    yield SDK / "include" / "abi" / "words.h", c_words(WORDS)
    yield SDK / "rust" / "abi.rs", rust_source(HEADERS)


def main() -> int:
    """Write every file."""
    for path, text in files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
