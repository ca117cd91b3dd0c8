"""Limits of wall time for a run: how long it takes, and how long its consoles are silent."""

import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Self

__all__ = ["WallLimits"]


class WallLimits:
    """Pause a run, by ``pause()``, after ``timeout`` seconds or ``silence`` seconds without output; None: no limit.

    ``pause`` is called by another thread. ``text`` then says which limit it was.
    """

    def __init__(self, timeout: float | None, silence: float | None, pause: Callable[[], object]) -> None:
        self.text = ""
        self._limits = {"timeout": timeout, "silence": silence}
        self._pause = pause
        self._over = threading.Event()
        self._began = self._last = monotonic()
        self._thread: threading.Thread | None = None

    def heard(self) -> None:
        """A console has sent something."""
        self._last = monotonic()

    def _watch(self) -> None:
        timeout, silence = self._limits.values()
        while True:
            left = []
            if timeout is not None:
                left.append((self._began + timeout - monotonic(), f"{timeout:g} s of wall time are over"))
            if silence is not None:
                left.append((self._last + silence - monotonic(), f"no console has sent anything for {silence:g} s"))
            delay, text = min(left)
            if delay <= 0:
                self.text = text
                self._pause()
                return
            if self._over.wait(delay):
                return

    def __enter__(self) -> Self:
        self._began = self._last = monotonic()
        if any(limit is not None for limit in self._limits.values()):
            self._thread = threading.Thread(target=self._watch, name="realmlab-wall", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
