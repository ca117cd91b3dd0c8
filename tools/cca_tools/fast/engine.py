"""The patched engine: fetched, patched, compiled, tried, and only then put where runs find it.

Everything happens in a temporary folder. What is installed is one library, moved into place in one step, and a note of
what it was made from, by which the next call knows that there is nothing to do.
"""

import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from cca_platform.child import search_path
from cca_platform.engine.library import LIBRARY, NOTE, SERIES
from cca_platform.errors import MachineError
from cca_platform.tier import VARIABLE
from cca_tools.cli.output import say
from cca_tools.fast.sources import Series, outside_repositories
from cca_tools.fast.steps import Steps, room
from cca_tools.fast.toolchain import Toolchain

__all__ = ["build", "current"]

_ROOM: Final = 300 << 20
_OPTIONS: Final = (
    "-DCMAKE_BUILD_TYPE=Release", "-DUNICORN_ARCH=aarch64", "-DBUILD_SHARED_LIBS=ON", "-DUNICORN_BUILD_TESTS=OFF",
    "-DUNICORN_INSTALL=OFF",
)  # fmt: skip
_TRY: Final = "from cca_platform.engine import library; import sys; sys.exit(library.tier() != 'built')"


def current(folder: Path, digest: str) -> bool:
    """Whether the library in ``folder`` is there and was made from what has this digest."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(note, dict) and note.get("digest") == digest and (folder / LIBRARY).is_file()


def build(folder: Path, force: bool = False) -> bool:
    """Build the engine and install it in ``folder`` unless it is there; whether there was something to do."""
    series = Series()
    place = Path(tempfile.mkdtemp(prefix="realmlab-fast-")).resolve()
    try:
        if len(str(place).split()) > 1:
            raise MachineError(f"TMPDIR must name a place without spaces in its path for make fast, not {place.parent}")
        toolchain = Toolchain(place)
        digest = series.digest(toolchain.version, toolchain.target, *toolchain.cc()[1:], *_OPTIONS)
        if not force and current(folder, digest):
            return False
        room(place, _ROOM)
        steps = Steps(place / "log", toolchain.environment | outside_repositories(place))
        try:
            made = _compile(steps, toolchain, series, place)
            _install(steps, made, folder, digest, series)
        except MachineError:
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(place / "log", folder / "log")
                say(f"the whole log is in {folder / 'log'}")
            raise
        return True
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _compile(steps: Steps, toolchain: Toolchain, series: Series, place: Path) -> Path:
    """The library, in ``place``."""
    sources, made = series.fetch(steps, place), place / "made"
    tools = {f"CMAKE_{name}": toolchain.folder / f"z{name.lower()}" for name in ("AR", "RANLIB")}
    tools |= {"CMAKE_C_COMPILER": toolchain.folder / "zcc", "CMAKE_MAKE_PROGRAM": Path(toolchain.tool("ninja"))}
    steps.run(
        "configure (a minute)", toolchain.tool("cmake"), "-S", str(sources), "-B", str(made), "-G", "Ninja", *_OPTIONS,
        *(f"-D{name}={path}" for name, path in tools.items()),
    )  # fmt: skip
    steps.run("compile", toolchain.tool("ninja"), "-C", str(made), "unicorn")
    return made / LIBRARY


def _install(steps: Steps, made: Path, folder: Path, digest: str, series: Series) -> None:
    """Try the library in a process of its own; then move it into ``folder``, whole."""
    trial = made.parent / "trial"
    (trial / "engine").mkdir(parents=True)
    shutil.copyfile(made, trial / "engine" / LIBRARY)
    path = f"PYTHONPATH={search_path()}"
    steps.run("try it", "env", f"{VARIABLE}={trial}", path, sys.executable, "-c", _TRY)
    folder.mkdir(parents=True, exist_ok=True)
    part, note = folder / f"{LIBRARY}.part", folder / f"{NOTE}.part"
    try:
        shutil.copyfile(made, part)
        note.write_text(json.dumps({"digest": digest, "series": SERIES, "unicorn": series.version}), encoding="utf-8")
        part.replace(folder / LIBRARY)
        note.replace(folder / NOTE)
    finally:
        part.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
    (folder / "log").unlink(missing_ok=True)
