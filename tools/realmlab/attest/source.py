"""Read a token from a file or stdin: raw bytes, hex, or the output of the payload ``attest``."""

import re
from typing import Final

from cca_platform import userfiles
from cca_platform.errors import MachineError

__all__ = ["extract", "read"]

_ARMOUR: Final = re.compile(rb"-----BEGIN CCA TOKEN-----\s(.*?)-----END CCA TOKEN-----", re.DOTALL)
_BEGIN: Final = b"-----BEGIN CCA TOKEN-----"
_HEX: Final = re.compile(rb"[0-9a-fA-F\s]+")
_LIMIT: Final = userfiles.KINDS["token"].limit


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
    return extract(userfiles.read(name, userfiles.KINDS["token"]))
