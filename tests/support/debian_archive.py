"""A tiny archive of Debian packages, built in a test: kernels of a few bytes, their modules, busybox; signed by gpg."""

import hashlib
import io
import lzma
import shutil
import subprocess
import tarfile
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["Archive", "deb", "module"]


def module(name: str, depends: Iterable[str] = (), aliases: Iterable[str] = (), extra: Iterable[str] = ()) -> bytes:
    """What looks like a module to whoever reads its section ``.modinfo``."""
    words = [*(f"alias={one}" for one in aliases), f"depends={','.join(depends)}", *extra, f"name={name}"]
    info = "\0".join([*words, "vermagic=7.0-test SMP", ""]).encode()
    return b"\x7fELF" + bytes(60) + b"\0" + info


def deb(files: Mapping[str, bytes], packing: str = "xz", links: Mapping[str, str] | None = None) -> bytes:
    """A package with these files, packed with ``xz``, ``gz``, ``zst`` or not at all ("")."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(f"./{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    data = inner.getvalue()
    if packing == "xz":
        data = lzma.compress(data)
    elif packing == "gz":
        import gzip

        data = gzip.compress(data, mtime=0)
    elif packing == "zst":
        import zstandard

        data = zstandard.compress(data)
    parts = {"debian-binary": b"2.0\n", "control.tar": b"", f"data.tar{'.' + packing if packing else ''}": data}
    found = b"!<arch>\n"
    for name, part in parts.items():
        found += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n".encode() + part + b"\n" * (len(part) % 2)
    return found


class Archive:
    """An archive in ``folder`` with a suite; ``publish`` signs what has been added."""

    def __init__(self, folder: Path, suite: str = "trixie") -> None:
        self.folder, self.suite = folder, suite
        self.records: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.home = Path(tempfile.mkdtemp(prefix="gpg"))  # a short path: its agent has sockets there
        weakref.finalize(self, shutil.rmtree, self.home, ignore_errors=True)
        self.keyring = folder / "key.gpg"
        self._gpg("--quick-generate-key", "Test <test@example.org>", "ed25519", "sign", "never")
        self.keyring.write_bytes(self._gpg("--export"))

    @staticmethod
    def possible() -> bool:
        """True where apt and gpg are installed."""
        return all(shutil.which(name) for name in ("apt-get", "gpg"))

    @property
    def uri(self) -> str:
        """Where apt finds it."""
        return f"file://{self.folder}"

    def _gpg(self, *words: str, data: bytes = b"") -> bytes:
        line = [
            "gpg",
            "--homedir",
            str(self.home),
            "--batch",
            "--passphrase",
            "",
            "--pinentry-mode",
            "loopback",
            "--yes",
        ]
        return subprocess.run([*line, *words], input=data, capture_output=True, check=True).stdout

    def add(self, name: str, version: str, contents: bytes, **fields: str) -> Path:
        """Add a package; ``fields`` are those of its control file."""
        path = self.folder / "pool" / f"{name}_{version.replace(':', '%3a')}_arm64.deb"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(contents)
        record = {
            "Package": name, "Version": version, "Architecture": "arm64", "Maintainer": "x <x@example.org>",
            **fields, "Filename": f"pool/{path.name}", "Size": str(len(contents)),
            "SHA256": hashlib.sha256(contents).hexdigest(), "Description": "x",
        }  # fmt: skip
        self.records.append("".join(f"{key}: {value}\n" for key, value in record.items()))
        return path

    def publish(self, valid: timedelta = timedelta(days=7), signed: bool = True) -> None:
        """Write the lists, and sign them."""
        suite = self.folder / "dists" / self.suite
        listed = suite / "main" / "binary-arm64" / "Packages"
        listed.parent.mkdir(parents=True, exist_ok=True)
        packages = "\n".join(self.records).encode()
        listed.write_bytes(packages)
        now = datetime.now(UTC)
        form = "%a, %d %b %Y %H:%M:%S UTC"
        begun = min(now, now + valid - timedelta(days=1)) - timedelta(hours=1)
        release = (
            f"Origin: Test\nSuite: {self.suite}\nCodename: {self.suite}\nArchitectures: arm64\nComponents: main\n"
            f"Date: {begun.strftime(form)}\nValid-Until: {(now + valid).strftime(form)}\nSHA256:\n"
            f" {hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-arm64/Packages\n"
        ).encode()
        for name in ("InRelease", "Release"):
            (suite / name).unlink(missing_ok=True)
        if signed:
            (suite / "InRelease").write_bytes(self._gpg("--clearsign", data=release))
        else:
            (suite / "Release").write_bytes(release)

    def close(self) -> None:
        """End the agent that gpg has started."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, capture_output=True)
