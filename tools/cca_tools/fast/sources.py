"""Unicorn's sources, and the patches on them: ``platform/engine`` of the checkout says which."""

import hashlib
import os
import re
import sys
import tarfile
from pathlib import Path
from typing import Final

from cca_platform.errors import MachineError
from cca_tools.fast.steps import Steps
from cca_tools.imports import ROOT

__all__ = ["ENGINE", "Series"]

ENGINE: Final = ROOT / "platform" / "engine"
"""The folder of the patches and of the name and digest of what they are for."""
_PIN: Final = re.compile(r"^(unicorn)==(\S+) +--hash=sha256:(\w+)$", re.M)


class Series:
    """The patches of a folder, in the order of their numbers, and the release that they are for."""

    def __init__(self, folder: Path = ENGINE) -> None:
        try:
            text = (folder / "source.txt").read_text(encoding="utf-8")
        except OSError as error:
            raise MachineError(f"make fast needs a checkout of Realmlab with {folder}: {error.strerror}") from None
        found = _PIN.search(text)
        if found is None:
            raise MachineError(f"{folder / 'source.txt'} must name a release and its digest")
        self._pin, self.version, self._digest = folder / "source.txt", found[2], found[3]
        self.patches = sorted(folder.glob("*.patch"))
        """Their files."""

    def digest(self, *more: str) -> str:
        """Tells one build from another: of the sources, the patches, and ``more`` words."""
        total = hashlib.sha256("\0".join((self._digest, *more)).encode())
        for patch in self.patches:
            total.update(hashlib.sha256(patch.read_bytes()).digest())
        return total.hexdigest()

    def fetch(self, steps: Steps, place: Path) -> Path:
        """Fetch, check and unpack the sources in ``place``, and apply the patches; the folder of the sources."""
        steps.run(
            f"fetch Unicorn {self.version}", sys.executable, "-m", "pip", "--disable-pip-version-check", "download",
            "--no-deps", "--no-build-isolation", "--no-binary", "unicorn", "--require-hashes", "--retries", "2",
            "--dest", str(place), "--requirement", str(self._pin),
        )  # fmt: skip
        (archive,) = place.glob("unicorn-*.tar.gz")
        if hashlib.sha256(archive.read_bytes()).hexdigest() != self._digest:
            raise MachineError(f"{archive.name} is not the one that {self._pin} names")
        with tarfile.open(archive) as file:
            file.extractall(place, filter="data")
        sources = place / f"unicorn-{self.version}" / "src"
        for patch in self.patches:
            steps.run(f"apply {patch.name}", "git", "apply", "-p1", "--whitespace=nowarn", str(patch), cwd=sources)
        return sources


def outside_repositories(place: Path) -> dict[str, str]:
    """For git, that ``place`` is in no repository."""
    return {"GIT_CEILING_DIRECTORIES": os.fspath(place), "GIT_CONFIG_NOSYSTEM": "1"}
