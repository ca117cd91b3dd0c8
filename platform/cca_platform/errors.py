"""What goes wrong: the user's mistakes, the end of a machine, and the two faults that a physical access can take."""

from cca_arch.types import Access, Pas

__all__ = [
    "BusError",
    "GranuleProtectionFault",
    "InstructionLimit",
    "InternalError",
    "MachineError",
    "MachineStopped",
    "StateError",
]


class MachineError(Exception):
    """The user asked the machine for something impossible; the message says how to mend it."""


class MachineStopped(Exception):
    """The machine was powered off or reset; the text is the reason."""


class InstructionLimit(Exception):
    """The instructions that a run was given are used up."""


class InternalError(Exception):
    """The model did something wrong, whatever the software on it did. ``bundle`` is JSON for a report."""

    def __init__(self, what: str, bundle: bytes) -> None:
        super().__init__(
            f"internal error: {what}: a fault of Realmlab, not of the software that runs; report it with its bundle"
        )
        self.bundle = bundle


class StateError(MachineError):
    """Saved state that does not fit: of another board or version, or no saved state at all."""


class GranuleProtectionFault(Exception):
    """An access whose physical address space is not the one that the granule is assigned to.

    ``pa`` is the address, ``pas`` the space of the access, ``level`` the level of the GPT entry that refused it.
    """

    def __init__(self, pa: int, pas: Pas, level: int, access: Access) -> None:
        super().__init__(f"granule protection fault: {access.name} of PA {pa:#x} in the {pas.name} PAS, level {level}")
        self.pa = pa
        self.pas = pas
        self.level = level
        self.access = access


class BusError(Exception):
    """A physical address where neither memory nor a device answers: a synchronous external abort."""

    def __init__(self, pa: int, access: Access) -> None:
        super().__init__(f"external abort: nothing answers a {access.name} at PA {pa:#x}")
        self.pa = pa
        self.access = access
