"""Limits of wall time: how long a phase takes, and how long the consoles are silent meanwhile."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import TracebackType
from typing import Self

__all__ = ["WallLimits"]


class WallLimits:
    """Pause a run, by ``pause()``, after ``timeout`` seconds or ``silence`` seconds without output; None: no limit.

    ``pause`` is called by another thread. ``text`` then says which limit it was, and of which ``phase``. Each phase has
    the limits to itself.
    """

    def __init__(
        self, timeout: float | None, silence: float | None, pause: Callable[[], object], phase: str = "the run"
    ) -> None:
        self.text = ""
        self.phase = phase
        self._limits = {"timeout": timeout, "silence": silence}
        self._pause = pause
        self._changed = threading.Condition()
        self._over = False
        self._began = self._last = monotonic()
        self._thread: threading.Thread | None = None

    def heard(self) -> None:
        """A console has sent something."""
        self._last = monotonic()

    @contextmanager
    def apart(self, phase: str) -> Iterator[None]:
        """Another phase inside the block, such as the boot after a reset, costs the phase around it nothing."""
        around, began, last, start = self.phase, self._began, self._last, monotonic()
        self._enter(phase, start, start)
        try:
            yield
        finally:
            spent = monotonic() - start
            self._enter(around, began + spent, last + spent)

    def _enter(self, phase: str, began: float, last: float) -> None:
        with self._changed:
            self.phase, self._began, self._last = phase, began, last
            self._changed.notify()

    def _watch(self) -> None:
        timeout, silence = self._limits.values()
        with self._changed:
            while not self._over:
                left = []
                if timeout is not None:
                    left.append((self._began + timeout - monotonic(), f"{timeout:g} s of wall time are over"))
                if silence is not None:
                    left.append((self._last + silence - monotonic(), f"no console has sent anything for {silence:g} s"))
                delay, text = min(left)
                if delay <= 0:
                    self.text = f"{text} in {self.phase}"
                    self._pause()
                    return
                self._changed.wait(delay)

    def __enter__(self) -> Self:
        self._began = self._last = monotonic()
        if any(limit is not None for limit in self._limits.values()):
            self._thread = threading.Thread(target=self._watch, name="realmlab-wall", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
