"""The kinds of hostile inputs, what makes them, and how many there are in a full run."""

import random
from collections.abc import Callable
from typing import Final, NamedTuple

from hostile_binary import console_case, dtb_case, image_case, kept_case, trace_case
from hostile_case import Case
from hostile_code import code_case
from hostile_disk import disk_case
from hostile_elf import elf_case
from hostile_extensions import extension_case
from hostile_line import line_case, special_case
from hostile_project import project_case
from hostile_surroundings import cache_case, environment_case
from hostile_text import board_case, figures_case, module_case, policy_case
from hostile_token import key_case, token_case

__all__ = ["KINDS", "Kind", "make"]


class Kind(NamedTuple):
    """``make`` gives the case of a number from a source that nothing but its name has seeded; ``count`` of them run."""

    make: Callable[[random.Random, int], Case]
    count: int


KINDS: Final[dict[str, Kind]] = {
    "elf": Kind(elf_case, 1300),
    "image": Kind(image_case, 500),
    "board": Kind(board_case, 1000),
    "policy": Kind(policy_case, 500),
    "token": Kind(token_case, 1200),
    "key": Kind(key_case, 300),
    "trace": Kind(trace_case, 800),
    "dtb": Kind(dtb_case, 300),
    "kept": Kind(kept_case, 300),
    "disk": Kind(disk_case, 300),
    "console": Kind(console_case, 300),
    "figures": Kind(figures_case, 60),
    "extension": Kind(extension_case, 300),
    "module": Kind(module_case, 150),
    "code": Kind(code_case, 500),
    "line": Kind(line_case, 1300),
    "project": Kind(project_case, 150),
    "special": Kind(special_case, 400),
    "environment": Kind(environment_case, 150),
    "cache": Kind(cache_case, 3),
}


def make(kind: str, number: int) -> Case:
    """The input of a name, the same at any time and on any machine."""
    return KINDS[kind].make(random.Random(f"{kind}:{number}"), number)
