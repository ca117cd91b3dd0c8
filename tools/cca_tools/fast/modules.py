"""The compiled modules: translated by mypyc, compiled by zig, tried, and only then put where runs find them.

What lies in between stays in the folder ``work``, so that a changed source costs its own file. What is installed is one
folder, exchanged as a whole, with a note of what it was made from: by it, a run knows whether it fits the sources, and
the next call that there is nothing to do.
"""

import hashlib
import importlib.metadata
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

from cca_platform import compiled
from cca_platform.child import search_path
from cca_platform.errors import MachineError
from cca_platform.tier import VARIABLE
from cca_tools.fast.hot import MODULES
from cca_tools.fast.steps import Steps, room
from cca_tools.fast.toolchain import Toolchain
from cca_tools.fast.translate import SOURCES

__all__ = ["build", "current", "headers"]

_ROOM: Final = 400 << 20
_SUFFIX: Final = EXTENSION_SUFFIXES[0]
_FLAGS: Final = ("-O2", "-fPIC", "-fwrapv", "-DNDEBUG", "-w")
_MADE_FROM: Final = "made-from"
_TRY: Final = """
import sys
from importlib import import_module
from cca_platform import compiled
names = sorted(compiled.modules())
assert names, compiled.describe()
for name in names:
    import_module(name)
import realmlab
with realmlab.Machine() as machine:
    sys.exit(machine.run_realm("hello").status)
"""
_NINJA: Final = """\
rule compile
  command = {cc} {flags} -MD -MF $out.d -c $in -o $out
  depfile = $out.d
  deps = gcc
rule link
  command = {cc} -shared $in -o $out
"""


def headers() -> Path | None:
    """The folder with ``Python.h``, or None: this Python came without."""
    folder = Path(sysconfig.get_paths()["include"])
    return folder if (folder / "Python.h").is_file() else None


def _made_from(toolchain: Toolchain) -> str:
    """What tells one build from another, but for the sources, which the note has."""
    versions = [importlib.metadata.version(name) for name in ("mypy", "ziglang")]
    builder = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))]
    text = "\0".join((*versions, *toolchain.cc()[1:], *_FLAGS, sys.version, *builder))
    return hashlib.sha256(text.encode()).hexdigest()


def current(folder: Path, made_from: str) -> bool:
    """Whether the compiled modules in ``folder`` are there, and were made from this and from the present sources."""
    try:
        text = (folder / compiled.NOTE).read_text(encoding="utf-8")
        same = (folder / _MADE_FROM).read_text(encoding="utf-8") == made_from
    except OSError:
        return False
    form, suffix, names, *_ = text.splitlines()
    return same and (form, suffix, names) == (compiled.FORMAT, _SUFFIX, " ".join(MODULES)) and not compiled.fits(text)


def build(folder: Path, force: bool = False) -> str:
    """Compile the modules and install them in ``folder`` unless they are there; what has been done, in words."""
    include = headers()
    if include is None:
        version = ".".join(map(str, sys.version_info[:2]))
        return (
            "not compiled, pure Python runs: this Python came without Python.h, which Debian has in "
            f"python{version}-dev (python3-dev for its own Python); then call make fast again"
        )
    work = folder.with_name("work")
    place = Path(tempfile.mkdtemp(prefix="realmlab-fast-"))
    try:
        toolchain = Toolchain(place)
        made_from = _made_from(toolchain)
        if not force and current(folder, made_from):
            _write_note(folder, compiled.note(MODULES))  # times may have changed
            return "nothing to do"
        if force:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        room(work, _ROOM)
        cache = str(work / "zig-cache")
        caches = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        steps = Steps(work / "log", toolchain.environment | caches)
        (work / "log").unlink(missing_ok=True)
        try:
            note = compiled.note(MODULES)  # of the sources as they are now
            _make(steps, toolchain, work, include)
            _install(steps, work, folder, made_from, note)
        except MachineError as error:
            raise MachineError(f"{error}; the whole log is in {work / 'log'}") from None
        return f"{len(MODULES)} compiled"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _python(folder: Path | None = None) -> list[str]:
    """How a step calls this Python with this project, and with what is built in ``folder``."""
    path = f"PYTHONPATH={search_path()}"
    return ["env", "-u", compiled.PURE, f"{VARIABLE}={folder or ''}", path, sys.executable]


def _make(steps: Steps, toolchain: Toolchain, work: Path, include: Path) -> None:
    """Translate and compile: the extensions in ``work/made``."""
    steps.run("translate the hot modules", *_python(), "-m", "cca_tools.fast.translate", str(work))
    parts = (work / SOURCES).read_text(encoding="utf-8").strip().split("\n\n")
    library, shims, folders = (part.split("\n") for part in parts)
    flags = [*_FLAGS, *(f"-I{one}" for one in (*folders, include))]
    _ninja(work, toolchain.cc(), flags, library, dict(zip(MODULES, shims, strict=True)))
    steps.run("compile them", toolchain.tool("ninja"), "-C", str(work))


def _ninja(work: Path, cc: Sequence[str], flags: Sequence[str], library: Sequence[str], shims: dict[str, str]) -> None:
    """Write what ninja is to do: an object for each source, the library, and a small extension for each module."""

    def escaped(path: str) -> str:
        return path.replace("$", "$$").replace(" ", "$ ").replace(":", "$:")

    def quoted(words: Sequence[str]) -> str:
        return " ".join(f"'{word}'" for word in words).replace("$", "$$")

    lines = [_NINJA.format(cc=quoted(cc), flags=quoted(flags))]
    objects = [f"objects/library-{number}-{Path(source).stem}.o" for number, source in enumerate(library)]
    lines += [f"build {made}: compile {escaped(source)}" for made, source in zip(objects, library, strict=True)]
    lines.append(f"build made/{compiled.LIBRARY}{_SUFFIX}: link {' '.join(objects)}")
    for name, source in shims.items():
        lines.append(f"build objects/{name}.o: compile {escaped(source)}")
        lines.append(f"build made/{name}{_SUFFIX}: link objects/{name}.o")
    (work / "build.ninja").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_note(folder: Path, note: str) -> None:
    part = folder / f"{compiled.NOTE}.part"
    part.write_text(note, encoding="utf-8")
    part.replace(folder / compiled.NOTE)


def _install(steps: Steps, work: Path, folder: Path, made_from: str, note: str) -> None:
    """Try the modules in a process of its own; then move them into ``folder``, as one."""
    trial = work / "trial"
    shutil.rmtree(trial, ignore_errors=True)
    made = trial / "compiled"
    made.mkdir(parents=True)
    for name in (compiled.LIBRARY, *MODULES):
        shutil.copyfile(work / "made" / f"{name}{_SUFFIX}", made / f"{name}{_SUFFIX}")
    shutil.copytree(work / compiled.RECORDS, made / compiled.RECORDS, ignore=shutil.ignore_patterns("__pycache__"))
    (made / _MADE_FROM).write_text(made_from, encoding="utf-8")
    _write_note(made, note)
    steps.run("try them", *_python(trial), "-c", _TRY)
    folder.parent.mkdir(parents=True, exist_ok=True)
    old = work / "old"
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    made.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(trial, ignore_errors=True)
