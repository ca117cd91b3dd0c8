"""The door of the trace: structlog, with one renderer that makes bytes of lines and a logger that takes bytes.

Only processors of the user make records of lines before they reach the sinks. structlog is imported with this module,
which takes 80 ms that a run without a trace saves.
"""

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from cca_platform.trace.lines import Line, Record, encoded, record_of

__all__ = ["Door", "Processed", "Processor"]

Processor = Callable[..., Any]


def _render(logger: object, method: str, lines: Any) -> bytes:
    """The renderer."""
    return encoded(lines)


class Door(structlog.BoundLoggerBase):
    """The wrapper class. It gives lines to the renderer as they are: there is no context to copy, and no dictionary.

    ``logger`` has ``msg``, which takes whole lines as bytes, and how many they are.
    """

    def __init__(self, logger: Any, processors: Sequence[Processor] = (_render,), context: Any = None) -> None:
        super().__init__(logger, processors, {} if context is None else context)

    def lines(self, lines: Any) -> bytes:
        """Render a sequence of lines, write them, and return what has been written."""
        (renderer,) = self._processors
        text: Any = renderer(self._logger, "msg", lines)
        self._logger.msg(text, len(lines))
        return bytes(text)


class Processed(structlog.BoundLoggerBase):
    """The wrapper class with processors of the user, which get each line as a record.

    ``logger`` has ``processed``, which takes a record. What a processor raises goes to ``keep``; if that keeps it, the
    record goes on as it is.
    """

    @classmethod
    def by(cls, logger: Any, processors: Sequence[Processor], keep: Callable[[BaseException], bool]) -> "Processed":
        """A logger whose records these processors see."""
        return cls(logger, [_guarded(one, keep) for one in processors], {})

    def line(self, line: Line) -> None:
        """Process a line."""
        record: Any = record_of(line)
        try:
            for process in self._processors:
                record = process(self._logger, "processed", record)
        except structlog.DropEvent:
            return
        self._logger.processed(record)


def _guarded(processor: Processor, keep: Callable[[BaseException], bool]) -> Processor:
    def process(logger: object, method: str, record: Record) -> Any:
        try:
            return processor(logger, method, record)
        except structlog.DropEvent:
            raise
        except BaseException as error:
            if not keep(error):
                raise
            return record

    return process
