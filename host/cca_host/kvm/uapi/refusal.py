"""How a system call fails, and how a process does."""

from cca_arch.errno import Errno
from cca_platform.errors import MachineError

__all__ = ["Refusal", "UserFault", "must"]


class Refusal(Exception):
    """A system call answers ``-errno``."""

    def __init__(self, errno: Errno) -> None:
        super().__init__(errno.name)
        self.errno = errno


class UserFault(MachineError):
    """The process itself, not a system call of it, has touched memory that it may not: it would get a signal."""


def must(condition: object, errno: Errno) -> None:
    """Refuse the call with ``errno`` unless ``condition`` holds."""
    if not condition:
        raise Refusal(errno)
