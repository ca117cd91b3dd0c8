"""Trace events of the boot stages."""

from typing import TYPE_CHECKING

from cca_platform.trace.events import BootStage
from cca_platform.trace.forms import UNSET

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["stage"]


def stage(machine: "Machine", name: str, entry: int, version: int | None = None) -> None:
    """Report that the stage ``name`` starts at PA ``entry``, through an interface of this ``version``."""
    if machine.trace.on:
        event = BootStage(stage=name, entry=entry, version=UNSET if version is None else version)
        machine.trace.emit(event, pe=machine.pes[0])
