"""Hostile files of the extensions: swap files that somebody has made or damaged, and platform keys."""

import random

from hostile_case import Case, Content, Device, Folder, Link, Sparse, ends, line
from hostile_mutate import number, text

__all__ = ["extension_case"]

_MARK = b"Realmlab swap 1\n"


def _swap(source: random.Random) -> tuple[str, Content | None]:
    """The name of a swap file, and what is there; None for nothing."""
    contents: tuple[Content | None, ...] = (
        None,
        b"",
        _MARK,
        _MARK[: source.randrange(len(_MARK))],
        _MARK + source.randbytes(source.choice((1, 4080, 100_000))),
        _MARK.ljust(4096, b"\0") + source.randbytes(257 * 4096),
        source.randbytes(source.choice((1, 15, 16, 4096))),
        b"somebody's work",
        Sparse(1 << 36, _MARK),
        Sparse(1 << 36),
        Folder(),
        Link("swap"),
        Link("elsewhere"),
        Link("/dev/full"),
    )
    names = ("/dev/null", "/dev/full", "/dev/zero", "/proc/self/mem", "none/swap", "x" * 300, text(source))
    if source.random() < 0.3:
        return source.choice(names).replace("\0", "") or "swap", Device()
    return "swap", source.choice(contents)


def _paging(source: random.Random) -> tuple[list[str], dict[str, Content]]:
    name, content = _swap(source)
    limits = ("2M", "3M", "3M", "4M", "2049K", "0", "1M", "1T", "2097151", "x", "-1", str(number(source)), text(source))
    pairs = [("--extension", "paging"), ("--memory-limit", source.choice(limits).replace("\0", "")), ("--swap", name)]
    if source.random() < 0.1:
        del pairs[source.randrange(3)]
    there = content is not None and not isinstance(content, Device)
    return ["memory", *(word for pair in pairs for word in pair)], {name: content} if there else {}


def _sealing(source: random.Random) -> tuple[list[str], dict[str, Content]]:
    sizes = (0, 1, 31, 32, 32, 32, 33, 64, 4096)
    keys: tuple[Content, ...] = (source.randbytes(source.choice(sizes)), Sparse(1 << 36), Folder(), Link("key"))
    blob = source.randbytes(source.choice((0, 16, 47, 48, 49, 112, 113, 500))).hex()
    lines = (f"open {blob}", f"seal {text(source)}", "open", "seal", "open zz", "x", "seal " + "y" * 65, text(source))
    files: dict[str, Content] = {
        "key": source.choices(keys, (8, 1, 1, 1))[0], "typed": source.choice(lines).encode(errors="replace"),
    }  # fmt: skip
    words = ["sealing", "--extension", source.choice(("sealing",) * 5 + ("paging", "", "both", text(source)))]
    return [*(word.replace("\0", "") for word in words), "--platform-key", "key", "--console-input", "typed"], files


def extension_case(source: random.Random, number_: int) -> Case:
    """A run with an extension, and files for it that do not fit."""
    words, files = source.choice((_paging, _paging, _sealing))(source)
    argv = line("run", *words, "--max-insns", source.choice(("40000", "3000000")))
    statuses, raw = ends(argv)
    outputs = frozenset({"swap", "elsewhere", words[-1]})
    return Case("extension", number_, argv, files, statuses, outputs=outputs, raw=raw)
