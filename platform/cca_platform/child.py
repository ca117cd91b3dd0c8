"""Processes that run this project's code: the same Python, the same search path."""

import os
import sys

__all__ = ["environment", "search_path"]


def search_path() -> str:
    """PYTHONPATH by which a child finds the modules that this process finds."""
    return os.pathsep.join(filter(None, sys.path))


def environment() -> dict[str, str]:
    """This process's environment for such a child."""
    return {**os.environ, "PYTHONPATH": search_path()}
