"""Where this machine's apt finds Debian's archive: its mirror and keyring, read from both forms of source lists.

No address of an archive is written down in Realmlab: what the machine uses is right for it, its network and its owner.
"""

import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from cca_platform.errors import MachineError

__all__ = ["KEYRINGS", "RELEASES", "Source", "archive", "places", "sources"]

RELEASES: Final = ("bullseye", "bookworm", "trixie", "forky", "duke", "sid", "oldoldstable", "oldstable", "stable",
                   "testing", "unstable")  # fmt: skip
"""Names of releases, oldest first: a source of another name is no archive of Debian."""
KEYRINGS: Final = tuple(f"/usr/share/keyrings/debian-archive-keyring.{ending}" for ending in ("pgp", "gpg"))
"""Where Debian's package with the keys of its archive puts them."""
_LINE: Final = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)")
_FIELD: Final = re.compile(r"^(?P<name>[A-Za-z][A-Za-z-]*):[ \t]*(?P<value>.*(?:\n[ \t].*)*)", re.MULTILINE)
_SCHEMES: Final = (
    "http",
    "https",
    "file",
    "copy",
    "ftp",
    "mirror",
    "mirror+http",
    "mirror+https",
    "mirror+file",
    "tor+http",
)


class Source(Struct, frozen=True):
    """An archive in a source list; `--keyring` is a file, or a key in armour."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keyring: str = ""

    @property
    def rank(self) -> int:
        """How surely it is Debian's main archive; 0 is not."""
        here = urlsplit(self.uri)
        named = any(suite.partition("-")[0] in RELEASES for suite in self.suites)
        special = any("security" in suite or "/" in suite or suite.startswith("-") for suite in self.suites)
        if here.scheme not in _SCHEMES or not named or special or "main" not in self.components:
            return 0
        return 1 + 2 * ("debian-archive" in self.keyring) + (here.path.rstrip("/").endswith("/debian"))


def places() -> list[Path]:
    """The source lists of this machine's apt; raises MachineError where there is no apt."""
    try:
        said = subprocess.run(
            ["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"],
            capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        raise MachineError(
            "apt must be installed to fetch Debian's packages, and it is not: give --kernel and --initrd instead"
        ) from None
    named = dict(word.partition("=")[::2] for word in shlex.split(said))
    parts = Path(named.get("PARTS", "/dev/null"))
    found = [Path(named["LIST"])] if "LIST" in named else []
    if parts.is_dir():
        found += sorted(path for path in parts.iterdir() if path.suffix in (".list", ".sources"))
    return [path for path in found if path.is_file()]


def sources(paths: Iterable[Path]) -> Iterator[Source]:
    """The archives of packages in source lists, of one line or in paragraphs, that are turned on."""
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # apt could not read it either
            continue
        yield from _paragraphs(text) if path.suffix == ".sources" else _lines(text)


def _lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = _LINE.fullmatch(line.partition("#")[0].strip())
        if match is None:
            continue
        options = dict(word.partition("=")[::2] for word in (match["options"] or "").split())
        yield Source(match["uri"], (match["suite"],), tuple(match["components"].split()), options.get("signed-by", ""))


def _paragraphs(text: str) -> Iterator[Source]:
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", plain):
        fields = {match["name"].lower(): match["value"].strip() for match in _FIELD.finditer(paragraph)}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        yield from _of_fields(fields)


def _of_fields(fields: Mapping[str, str]) -> Iterator[Source]:
    for uri in fields.get("uris", "").split():
        yield Source(
            uri, tuple(fields.get("suites", "").split()), tuple(fields.get("components", "").split()),
            fields.get("signed-by", ""),
        )  # fmt: skip


def archive(mirror: str | None = None, keyring: Path | None = None, lists: Iterable[Path] | None = None) -> Source:
    """Debian's main archive, as this machine's apt knows it, or at `--mirror`, signed by a key of `--keyring`.

    Raises MachineError if there is none.
    """
    known = sorted(sources(places() if lists is None else lists), key=lambda one: -one.rank)
    found = next((one for one in known if one.rank), None)
    if mirror is None and found is None:
        raise MachineError(
            "this machine's apt must have an archive of Debian in its source lists, and has none: give --mirror, or "
            "--kernel and --initrd"
        )
    signed = str(keyring) if keyring is not None else found.keyring if found is not None else ""
    signed = signed or next((path for path in KEYRINGS if Path(path).is_file()), "")
    return Source(mirror or found.uri if found is not None else mirror or "", (), ("main",), signed)
