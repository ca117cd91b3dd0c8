"""A private apt root: Debian's lists and packages for arm64, fetched and verified by the machine's own apt.

State, cache, sources and configuration are in a folder of ours; of the machine's apt, only what says how to reach the
network counts (proxies, time-outs). Its hooks are cleared, so that nothing outside the folder changes; root is not
needed. What a package must be (size, SHA-256) comes from lists whose signatures apt has checked.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from msgspec import Struct

from cca_platform.errors import MachineError
from cca_tools.linux.mirrors import Source

__all__ = ["ARCHITECTURE", "Apt", "Package"]

ARCHITECTURE: Final = "arm64"
_CONFIGURATION: Final = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear APT::Default-Release;
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Etc::SourceList "{root}/debian.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::Log "{root}/log";
APT::Architecture "{architecture}";
APT::Architectures "{architecture}";
APT::Get::AllowUnauthenticated "false";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "2";
"""
_SOURCES: Final = """\
Types: deb
URIs: {uri}
Suites: {suites}
Components: main
Architectures: {architecture}
Targets: Packages
PDiffs: no
{signed}"""
_LOCATED: Final = re.compile(r"^'[^']*' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})$", re.MULTILINE)
_INSTALLED: Final = re.compile(r"^Inst (?P<name>\S+) \((?P<version>\S+)", re.MULTILINE)
_PERCENT: Final = re.compile(r"(?:dl|pm)status:[^:]*:(?P<percent>\d+)")
_CAUSES: Final[Sequence[tuple[str, str]]] = (
    ("No space left on device", "the disk is full: free some space, or give another --cache"),
    ("is expired", "the archive's Release file has expired: the mirror is old, or the clock of this machine is wrong; "
     "give another --mirror or --suite"),
    ("is not valid yet", "the archive's Release file is of the future: set the clock of this machine"),
    ("NO_PUBKEY", "no key here has signed the archive: give --keyring, or install a newer debian-archive-keyring"),
    ("is not signed", "the archive is not signed: give another --mirror"),
    ("does not have a Release file", "the archive has no such suite, or cannot be reached: check --suite, --mirror "
     "and the network"),
    ("Hash Sum mismatch", "what came is not what the archive has signed: try again later, or give another --mirror"),
    ("Unable to locate package", "the archive has no such package: check its name and --suite"),
    ("Unable to fetch", "the archive cannot be reached: check the network, or give --kernel and --initrd"),
    ("Failed to fetch", "the archive cannot be reached: check the network, or give --kernel and --initrd"),
)  # fmt: skip
"""What apt says, and what that means; the first that is found counts."""


class Package(Struct, frozen=True):
    """A package of the archive: the name of its file, and what the signed lists say of its contents."""

    name: str
    version: str
    file: str
    size: int
    sha256: str


class Apt:
    """The apt of the folder ``root`` for ``suites`` of an archive."""

    def __init__(self, root: Path, source: Source, suites: Iterable[str]) -> None:
        self.root = root.resolve()
        self._archive = source.uri
        for name in ("state/lists/partial", "cache/archives/partial", "log"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        signed = f"Signed-By: {source.keyring}\n" if source.keyring else ""
        self._write(
            "debian.sources",
            _SOURCES.format(uri=source.uri, suites=" ".join(suites), architecture=ARCHITECTURE, signed=signed),
        )
        self._write("apt.conf", _CONFIGURATION.format(root=self.root, architecture=ARCHITECTURE))

    def _write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    @property
    def listed(self) -> bool:
        """True if there are lists of packages."""
        return any((self.root / "state" / "lists").glob("*_Packages*"))

    def update(self, tell: Callable[[int], object]) -> None:
        """Fetch the lists of packages; ``tell`` gets how much of them is there, in percent."""
        self._run(["apt-get", "-q", "-o", "APT::Status-Fd=1", "update"], tell=tell)

    def record(self, name: str, version: str = "") -> Mapping[str, str]:
        """The fields of the newest version of a package, or of ``version``; empty if there is none."""
        said = self._run(["apt-cache", "-q", "show", f"{name}={version}" if version else name], fails=True)
        first = said.split("\n\n", 1)[0]
        return dict(
            (key, value.strip())
            for key, _, value in (line.partition(":") for line in first.splitlines() if line[:1].isalpha())
        )

    def names(self, prefix: str) -> list[str]:
        """The names of packages that begin with ``prefix``."""
        return sorted(self._run(["apt-cache", "-q", "pkgnames", prefix]).split())

    def closure(self, names: Sequence[str]) -> list[str]:
        """``NAME=VERSION`` of the packages that these need to be installed, these included."""
        said = self._run(["apt-get", "-q", "--simulate", "--no-install-recommends", "install", *names])
        return [f"{match['name'].partition(':')[0]}={match['version']}" for match in _INSTALLED.finditer(said)]

    def located(self, names: Sequence[str]) -> list[Package]:
        """What the signed lists say of packages, ``NAME`` or ``NAME=VERSION``."""
        said = self._run(["apt-get", "-qq", "--print-uris", "download", *names])
        found = []
        for match in _LOCATED.finditer(said):
            name, version, _ = unquote(match["file"]).rsplit("_", 2)
            found.append(Package(name, version, match["file"], int(match["size"]), match["sha256"]))
        return sorted(found, key=lambda one: one.name)

    def download(self, packages: Iterable[Package], folder: Path, tell: Callable[[int], object]) -> None:
        """Fetch packages into ``folder``; ``tell`` gets how much is there, in percent."""
        wanted = [f"{one.name}={one.version}" for one in packages]
        self._run(["apt-get", "-q", "-o", "APT::Status-Fd=1", "download", *wanted], tell=tell, folder=folder)

    def _run(
        self,
        words: Sequence[str],
        *,
        tell: Callable[[int], object] | None = None,
        folder: Path | None = None,
        fails: bool = False,
    ) -> str:
        """What a program of apt prints; raises MachineError if it fails, unless it may (``fails``)."""
        line = [words[0], "-c", str(self.root / "apt.conf"), *words[1:]]
        environment = {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}
        try:
            program = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
                env=environment, text=True, errors="replace",
            )  # fmt: skip
        except FileNotFoundError:
            raise MachineError(
                "apt must be installed to fetch Debian's packages, and it is not: give --kernel and --initrd instead"
            ) from None
        said: list[str] = []
        with program:
            assert program.stdout is not None
            try:
                for one in program.stdout:  # its bars end with a carriage return, which is a new line here
                    said.append(one)
                    if tell is not None and (match := _PERCENT.match(one)):
                        tell(int(match["percent"]))
            except BaseException:
                program.terminate()
                raise
        if program.returncode and not fails:
            raise MachineError(f"Debian's packages cannot be fetched: {_reason(''.join(said))}")
        return "".join(said)


def _reason(said: str) -> str:
    """Why apt has failed, in our words where they are known."""
    for words, meaning in _CAUSES:
        if words in said:
            return meaning
    errors = [line for line in said.splitlines() if line.startswith("E: ")]
    return f"apt says {(errors or said.splitlines() or ['nothing'])[0]!r}"
