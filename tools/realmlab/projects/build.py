"""The build of a project, without make or CMake."""

import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from cca_platform.errors import MachineError

from .compilers import Compiler, find_compiler
from .linked import check_linked
from .project import Project, read_project
from .rust import build_rust
from .tool import run_tool
from .worlds import SDK, WORLDS

__all__ = ["Built", "build_project", "environment_of_tools"]


class Built(NamedTuple):
    """The ELF file, the compiler's name, and what is odd in the file though it will run."""

    project: Project
    path: Path
    compiler: str
    notes: tuple[str, ...]


def build_project(folder: Path, cc: str | None = None) -> Built:
    """Compile and link the project in ``folder``, and check what the linker made of it.

    The tools' messages go to stderr, line by line. Raises BuildError if a tool fails, and MachineError if a file or the
    compiler is missing, or if the program could not be loaded.
    """
    project = read_project(folder)
    if project.lang == "rust":
        if cc is not None:
            raise MachineError("a payload in Rust must be built by cargo, which has its own compiler: give no --cc")
        name, path = "cargo", build_rust(folder, project)
    else:
        compiler = find_compiler(cc)
        name, path = compiler.name, _build_c(folder, project, compiler)
    return Built(project, path, name, check_linked(path, project))


def _build_c(folder: Path, project: Project, compiler: Compiler) -> Path:
    try:
        own = sorted(path for path in folder.iterdir() if path.suffix in {".c", ".S"})
    except OSError as error:
        raise MachineError(f"{folder} must be readable: {error.strerror}") from None
    script = folder / project.script
    if not script.is_file():
        raise MachineError(f"{script} is missing: copy it from {SDK / WORLDS[project.world].script}")
    if not own:
        raise MachineError(f"{folder} has no source: main.c is missing")
    for one, other in pairwise(own):
        if one.stem == other.stem:
            raise MachineError(f"{one.name} and {other.name} need different names: their object files have the same")
    names = {path.name for path in own}
    shared = [SDK / file for file in WORLDS[project.world].sources if Path(file).name not in names]
    output = folder / project.output
    objects = output.parent / "objects"
    try:
        shutil.rmtree(objects, ignore_errors=True)
        objects.mkdir(parents=True)
    except OSError as error:
        raise MachineError(f"{objects} must be writable: {error.strerror}") from None
    pairs = list(_objects(own, objects / "own")) + list(_objects(shared, objects / "sdk"))
    flags = (
        *compiler.flags.cflags, *project.defines, f"-I{_named(folder)}",
        *(f"-I{SDK / one}" for one in WORLDS[project.world].includes), "-g",
    )  # fmt: skip
    environment = environment_of_tools(output.parent / "zig-cache")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda pair: _compile(compiler, environment, flags, *pair), pairs))
    _link(compiler, project, script, output, [made for _, made in pairs])
    return output


def _objects(sources: Iterable[Path], folder: Path) -> Iterator[tuple[Path, Path]]:
    """Each source with its object file: the linker script knows objects by the names of their sources."""
    for source in sources:
        yield source, folder / f"{source.stem}.o"


def _named(path: Path) -> str:
    """A path that no tool takes for an option."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text


def environment_of_tools(own: Path) -> dict[str, str]:
    """The environment of the tools. Zig keeps its cache below HOME, which a container may not have: then in ``own``."""
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME") or ""
    if "ZIG_GLOBAL_CACHE_DIR" in os.environ or os.access(home, os.W_OK):
        return dict(os.environ)
    return {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(own.resolve())}


def _compile(
    compiler: Compiler, environment: dict[str, str], flags: tuple[str, ...], source: Path, made: Path
) -> None:
    fp = compiler.flags.fp if source.name.endswith("_fp.c") else compiler.flags.no_fp
    made.parent.mkdir(parents=True, exist_ok=True)
    command = (*compiler.compile, *flags, *fp, "-c", _named(source), "-o", _named(made))
    run_tool(source.name, *command, environment=environment)


def _link(compiler: Compiler, project: Project, script: Path, output: Path, objects: list[Path]) -> None:
    prefix = "-Wl," if compiler.name == "gcc" else ""
    base = (prefix + flag for flag in project.link_base)
    run_tool(
        output.name, *compiler.link, *compiler.flags.ldflags, *base,
        "-T", _named(script), "-o", _named(output), *map(_named, objects),
    )  # fmt: skip
