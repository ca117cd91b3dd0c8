"""Signals of the host: when Python looks at those that have come, such as that of Ctrl-C.

Its interpreter does so when it enters a function; compiled modules (:mod:`cca_platform.compiled`) may call each other
for ever without that. So this module is never compiled.
"""

__all__ = ["heed"]


def heed() -> None:
    """Let handlers of signals run now, which may raise."""
