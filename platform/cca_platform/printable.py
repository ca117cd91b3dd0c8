"""Untrusted text for a terminal."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """``text`` with escapes such as ``\\x1b`` in place of the characters that a terminal would obey or not show."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
