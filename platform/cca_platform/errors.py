"""Errors: the user's mistakes, the end of a machine, and the two faults of a physical access."""

from cca_arch.types import Access, Pas
from cca_platform.printable import printable

__all__ = [
    "BusError",
    "CacheWarning",
    "Closed",
    "GranuleProtectionFault",
    "InstructionLimit",
    "InternalError",
    "LimitReached",
    "MachineError",
    "MachineStopped",
    "OneLine",
    "StateError",
    "WrongType",
    "WrongValue",
]


class OneLine(Exception):
    """Its message is one line that no terminal obeys, whatever it quotes: names in files, arguments, exceptions."""

    def __str__(self) -> str:
        return printable(super().__str__())


class MachineError(OneLine):
    """The user asked for something impossible; the message says how to fix it."""


class Closed(MachineError):
    """The machine is closed, and cannot do ``what`` any more."""

    def __init__(self, what: str) -> None:
        super().__init__(f"a machine must be open for {what}, not closed: make another")


class LimitReached(MachineError):
    """A limit of the user was reached before there was a run that could tell."""


class WrongType(MachineError, TypeError):
    """An argument of the API has a type that cannot be."""


class WrongValue(MachineError, ValueError):
    """An argument of the API has a value that cannot be."""


class MachineStopped(OneLine):
    """The machine was powered off or reset; the message is the reason."""


class InstructionLimit(Exception):
    """A run has reached its limit of instructions."""


class InternalError(OneLine):
    """The model failed, which no software on it may cause. ``bundle`` is JSON for a bug report."""

    def __init__(self, what: str, bundle: bytes) -> None:
        super().__init__(
            f"internal error: {what}: a fault of Realmlab, not of the software that runs; report it with its bundle"
        )
        self.bundle = bundle


class CacheWarning(OneLine, RuntimeWarning):
    """Compiled code cannot be kept, or what was kept is damaged: starts take longer, results are the same."""


class StateError(MachineError):
    """Saved state does not fit: it is of another board or version, or not saved state at all."""


class GranuleProtectionFault(Exception):
    """The physical address space of an access is not that of the granule.

    ``pa`` is the address, ``pas`` the space of the access, ``level`` the level of the GPT entry that refused it.
    """

    def __init__(self, pa: int, pas: Pas, level: int, access: Access) -> None:
        super().__init__(f"granule protection fault: {access.name} of PA {pa:#x} in the {pas.name} PAS, level {level}")
        self.pa = pa
        self.pas = pas
        self.level = level
        self.access = access


class BusError(Exception):
    """No memory or device responds at a physical address: a synchronous external abort."""

    def __init__(self, pa: int, access: Access) -> None:
        super().__init__(f"external abort: nothing answers a {access.name} at PA {pa:#x}")
        self.pa = pa
        self.access = access
