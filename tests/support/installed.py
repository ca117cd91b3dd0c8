"""Realmlab as its users have it: the wheel, built and installed into an environment of its own, without a network."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from cca_platform.native.cache import store

__all__ = ["Wheel", "install"]

_ROOT = Path(__file__).resolve().parents[2]
_OURS = ("cca_arch", "cca_platform", "cca_firmware", "cca_rmm", "cca_host", "cca_tools", "realmlab")


class Wheel(NamedTuple):
    """An installed wheel: an environment whose `realmlab` and `python` are its own, and the folder of its packages."""

    environment: Mapping[str, str]
    packages: Path


def install(folder: Path) -> Wheel:
    """Build the wheel and install it below ``folder``, with native code that has been compiled from the same sources.

    What Realmlab depends on is taken from where the tests run: its folder of packages is on the path, but the files
    there that lead to the sources are not read. So each of our packages comes from the wheel, or an assertion fails.
    """
    _python("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"))
    (wheel,) = (folder / "dist").glob("*.whl")
    home = folder / "env"
    _python("-m", "venv", "--without-pip", str(home))
    python = home / "bin" / "python"
    _python(
        "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(python),
        "install", "--no-index", "--no-deps", str(wheel),
    )  # fmt: skip
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    kept = store().folder
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        **({} if kept is None else {"NUMBA_CACHE_DIR": str(kept.parent)}),
    }
    code = f"import {', '.join(_OURS)}\nprint(*(one.__file__ for one in ({', '.join(_OURS)})), sep='\\n')"
    places = _run(str(python), "-c", code, cwd=folder, environment=environment).split()
    assert len(places) == len(_OURS) and all(Path(place).is_relative_to(packages) for place in places), places
    return Wheel(environment, packages)


def _python(*words: str) -> str:
    return _run(sys.executable, *words, cwd=_ROOT, environment=os.environ)


def _run(*command: str, cwd: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
