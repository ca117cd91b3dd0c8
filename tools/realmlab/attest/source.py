"""Read a token from a file or stdin: raw bytes, hex, or the output of the payload ``attest``."""

import re
import sys
from pathlib import Path
from typing import Final

from cca_platform.errors import MachineError

__all__ = ["extract", "read"]

_ARMOUR: Final = re.compile(rb"-----BEGIN CCA TOKEN-----\s(.*?)-----END CCA TOKEN-----", re.DOTALL)
_BEGIN: Final = b"-----BEGIN CCA TOKEN-----"
_HEX: Final = re.compile(rb"[0-9a-fA-F\s]+")
_LIMIT: Final = 1 << 20


def extract(data: bytes) -> bytes:
    """Return the token in ``data``; raises MachineError if there is none."""
    if len(data) > _LIMIT:
        raise MachineError(f"a token must have at most {_LIMIT} bytes, not more")
    if not data.strip():
        raise MachineError("a token must be bytes, not an empty file")
    if _BEGIN in data:
        found = _ARMOUR.search(data)
        if found is None:
            raise MachineError("a token must end with the line -----END CCA TOKEN-----")
        data = found[1]
        if not _HEX.fullmatch(data):
            raise MachineError("a token between BEGIN and END must be in hex digits")
    if not _HEX.fullmatch(data):
        return data
    try:
        return bytes.fromhex(data.decode())
    except ValueError:
        raise MachineError("a token in hex must have two digits for each byte") from None


def read(name: str) -> bytes:
    """Read the token in the file ``name``; ``-`` is stdin."""
    if name == "-":
        return extract(sys.stdin.buffer.read(_LIMIT + 1))
    try:
        with Path(name).open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise MachineError(f"token {name} must be a readable file: {error.strerror}") from None
    return extract(data)
