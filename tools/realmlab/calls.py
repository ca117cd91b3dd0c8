"""The call to a machine that is under way, and what its callbacks must not do and may raise.

Callbacks of events and consoles run in the middle of a level that is written in Python. That level must finish what it
does, so an exception of a callback is kept until the call returns, and nothing but reading is possible meanwhile.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from cca_platform.errors import Closed, MachineError
from cca_platform.trace.trace import Trace

__all__ = ["Calls"]

P = ParamSpec("P")


class Calls:
    """The calls to one machine: one at a time. ``pause()`` pauses the run as soon as possible.

    Events of a call wait for each other on their way to the file of ``trace``, if nobody can miss them meanwhile.
    """

    def __init__(self, pause: Callable[[], object], trace: Trace) -> None:
        self._pause = pause
        self._trace = trace
        self._doing = ""
        self._between = False  # in a hook: between two instructions
        self._kept: BaseException | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """True if the machine is closed."""
        return self._closed

    @property
    def failed(self) -> bool:
        """True if a callback of the call under way has raised an exception."""
        return self._kept is not None

    @contextmanager
    def call(self, what: str) -> Iterator[None]:
        """The call ``what`` is under way inside the block; raises at its end what a callback raised.

        Raises MachineError if another call is under way, or if the machine is closed.
        """
        self.must_be_free(what)
        self._doing = what
        try:
            with self._trace.together():
                yield
        finally:
            self._doing = ""
            self.raise_kept()

    @contextmanager
    def hook(self) -> Iterator[None]:
        """The callback of a hook runs inside the block: between two instructions."""
        self._between = True
        self._trace.flush()
        try:
            yield
        finally:
            self._between = False

    def must_be_free(self, what: str, *, hook: bool = False) -> None:
        """Raise MachineError if ``what`` has to wait for a call under way; ``hook``: it can be done in a hook."""
        self.must_be_open(f"{what}()")
        if not self._doing or (hook and self._between):
            return
        where = "take it in a `hook`, or call" if hook else "call"
        raise MachineError(
            f"{what}() must wait until {self._doing}() has returned, not be called in its callbacks: "
            f"{where} stop() there and do it after the run"
        )

    def must_be_open(self, what: str) -> None:
        """Raise MachineError if the machine is closed, and cannot do ``what`` any more."""
        if self._closed:
            raise Closed(what)

    def close(self) -> bool:
        """Take no more calls; returns False if that was so before. Raises MachineError in a callback."""
        if self._closed:
            return False
        self.must_be_free("close")
        self._closed = True
        return True

    # -- exceptions of callbacks --------------------------------------------------------------------------------
    def keep(self, error: BaseException) -> bool:
        """Keep the exception of a callback for the end of the call, and pause; False if no call is under way."""
        if not self._doing:
            return False
        if self._kept is None:
            self._kept = error
            self._pause()
        return True

    def raise_kept(self) -> None:
        """Raise the exception of a callback, if there is one."""
        kept, self._kept = self._kept, None
        if kept is not None:
            raise kept

    def guarded(self, callback: Callable[P, object]) -> Callable[P, None]:
        """The same callback, with its exceptions kept."""

        def call(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                callback(*args, **kwargs)
            except BaseException as error:
                if not self.keep(error):
                    raise

        return call
