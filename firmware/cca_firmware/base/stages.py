"""The stages of the boot, as the trace tells them."""

from typing import TYPE_CHECKING

from cca_platform.trace.events import BootStage
from cca_platform.trace.forms import UNSET

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["stage"]


def stage(machine: "Machine", name: str, entry: int, version: int | None = None) -> None:
    """The stage ``name`` starts at PA ``entry``; ``version`` is that of the interface by which it is started."""
    if machine.trace.on:
        event = BootStage(stage=name, entry=entry, version=UNSET if version is None else version)
        machine.trace.emit(event, pe=machine.pes[0])
