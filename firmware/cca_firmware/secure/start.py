"""The start of the Secure payload on a PE: EL3 begins it, the payload's own call ends it (FF-A and TSP)."""

from typing import TYPE_CHECKING

from cca_firmware.secure.world import SecureState, SecureWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from cca_platform.board import Region
    from cca_platform.pe.pe import Pe

__all__ = ["PayloadStart"]


class PayloadStart:
    """Starts of the payload in ``region``; ``then(pe, hand_over)`` continues with a PE whose start is complete.

    ``hand_over`` is the entry point and the context ID of CPU_ON, None in the cold boot.
    """

    def __init__(
        self, world: SecureWorld, region: "Region", then: "Callable[[Pe, tuple[int, int] | None], None]"
    ) -> None:
        self._world = world
        self._region = region
        self._then = then

    def cold(self, pe: "Pe") -> None:
        """Begin the start on a PE in the cold boot."""
        self._world.hand_over[pe.index] = None
        self._world.begin(pe, self._region)

    def warm(self, pe: "Pe", entry: int, context_id: int) -> None:
        """Begin the start on a PE that CPU_ON turns on; without a ready payload, the PE continues at once."""
        self._world.hand_over[pe.index] = (entry, context_id)
        if self._world.ready:
            self._world.begin(pe, self._region)
        else:
            self._then(pe, (entry, context_id))

    def done(self, pe: "Pe", succeeded: bool) -> None:
        """End the payload's start on ``pe`` and continue with what follows it."""
        self._world.begun(pe, succeeded)
        self._then(pe, self._world.hand_over[pe.index])

    def on(self, pe: "Pe") -> bool:
        """True while the payload starts on ``pe``."""
        return self._world.state[pe.index] is SecureState.STARTING
