"""A project: the folder of a payload, whose ``realmlab.toml`` says what it is. ``realmlab new`` writes one."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from cca_platform.errors import MachineError
from cca_platform.schema import SchemaError, fit, parse_toml
from cca_platform.userfiles import KINDS, read_text, shown

from .compilers import GCC, ZIG
from .worlds import SDK, WORLDS, World

__all__ = ["FILE", "BoardName", "Language", "Project", "new_project", "read_project"]

Language = Literal["c", "rust"]
BoardName = Literal["fvp", "virt"]
FILE: Final = "realmlab.toml"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_TEMPLATES: Final = SDK / "templates"
_PLACES: Final[dict[World, str]] = {
    "realm": "at Realm EL1", "ns": "at Non-secure EL2, in place of a hypervisor", "secure": "at Secure EL1",
}  # fmt: skip
_RUN: Final[dict[BoardName, dict[str, str]]] = {
    "fvp": {"BOARD": "", "HOST": "ns_rmi", "UART": "2"},
    "virt": {"BOARD": " --board=virt", "HOST": "rmi_virt", "UART": "secure-uart"},
}
"""How a board is asked for, a payload of Non-secure EL2 that runs on it, and its Secure UART."""
_OWN: Final = {
    "start.S": "the entry points and what comes before your code{vectors}",
    "vectors.S": "the exception vectors",
    ".ld": "the linker script: where everything is in memory",
}


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``realmlab.toml`` says."""

    name: str
    world: World
    lang: Language = "c"
    board: BoardName = "fvp"

    @property
    def output(self) -> str:
        """The ELF file, relative to the project."""
        return f"build/{self.name}.elf"

    @property
    def run(self) -> str:
        """The command that runs the program, in the folder of the project."""
        return _fill(_TEMPLATES / self.world / "run", {"NAME": self.name, **_RUN[self.board]}).strip()

    @property
    def defines(self) -> tuple[str, ...]:
        """The macros that the program is compiled with."""
        return () if self.world == "realm" else (f"-DBOARD_{self.board}",)

    @property
    def link_base(self) -> tuple[str, ...]:
        """The linker's flag for the load address, if the board decides it."""
        return WORLDS[self.world].link_flags(self.board)

    @property
    def script(self) -> str:
        """The linker script, in the project's own folder."""
        return Path(WORLDS[self.world].script).name


def read_project(folder: Path) -> Project:
    """What the ``realmlab.toml`` of a folder says; raises MachineError if it is not there or says something else."""
    path = folder / FILE
    if not os.path.lexists(path):
        raise MachineError(f"{shown(folder)} is no project, without {FILE}: `realmlab new realm DIR` makes one")
    text = read_text(path, KINDS["project"])
    try:
        found = fit(parse_toml(text), Project, "the project")
    except SchemaError as error:
        raise MachineError(f"project file {shown(path)} is no project: {error}") from None
    _check_name(found.name)
    return found


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise MachineError(f"a payload's name must be letters, digits, '_', '.' and '-', not {name!r}: give --name")


def new_project(
    world: World, folder: Path, name: str | None = None, lang: Language = "c", board: BoardName = "fvp"
) -> Project:
    """Write a new project into ``folder``, which must be empty or not there yet.

    Start code, vectors and linker script are copies, to be changed at will; the rest of the runtime stays in the SDK.
    """
    try:
        project = Project(folder.resolve().name if name is None else name, world, lang, board)
    except (OSError, RuntimeError) as error:  # a loop of links, a current folder that is gone
        raise MachineError(f"{shown(folder)} cannot be a folder ({error}): name another") from None
    _check_name(project.name)
    if lang == "rust" and world != "realm":
        raise MachineError(f"a payload in Rust must be for a Realm, not for {world}: give --lang c")
    if board != "fvp" and world == "realm":
        raise MachineError("a Realm's payload must know no board: a Realm is the same on every board")
    if lang == "rust" and "." in project.name:
        raise MachineError(f"the name of a payload in Rust must have no dot, not {project.name!r}: give --name")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise MachineError(f"{folder} must be an empty folder or a new one: nothing is overwritten")
        for path, text in _files(project):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise MachineError(f"{shown(folder)} cannot be written ({error.strerror}): name another folder") from None
    return project


def _files(project: Project) -> Iterator[tuple[str, str]]:
    """Name and contents of each file of a new project."""
    words = _words(project)
    if project.lang == "rust":
        folder = _TEMPLATES / "rust"
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            yield path.relative_to(folder).as_posix().replace("dot-", "."), _fill(path, words)
        yield "src/abi.rs", (SDK / "rust" / "abi.rs").read_text(encoding="utf-8")
    else:
        yield "main.c", _fill(_TEMPLATES / project.world / "main.c", words)
        for file in WORLDS[project.world].own:
            yield Path(file).name, (SDK / file).read_text(encoding="utf-8")
        for name in ("Makefile", "CMakeLists.txt", "toolchain.cmake", "README.md"):
            yield name, _fill(_TEMPLATES / name, words)
    more = {"lang": project.lang} if project.lang != "c" else {"board": project.board} if project.board != "fvp" else {}
    yield FILE, _fill(_TEMPLATES / FILE, words) + "".join(f'{key} = "{value}"\n' for key, value in more.items())
    yield ".gitignore", _fill(_TEMPLATES / "gitignore", words)


def _words(project: Project) -> dict[str, str]:
    """What stands for the marks in the templates."""
    world = WORLDS[project.world]
    words = {
        "NAME": project.name, "WORLD": project.world, "PLACE": _PLACES[project.world], "RUN": project.run,
        "SCRIPT": project.script, "SDK_SOURCES": " ".join(world.sources), "INCLUDES": " ".join(world.includes),
        "DEFINES": "".join(f"{one} " for one in project.defines), "OWN": "\n".join(_rows(world.own)),
    }  # fmt: skip
    for kind, flags, prefix in (("ZIG", ZIG, ""), ("GCC", GCC, "-Wl,")):
        words |= {
            f"{kind}_CFLAGS": " ".join(flags.cflags),
            f"{kind}_NO_FP": " ".join(flags.no_fp),
            f"{kind}_FP": " ".join(flags.fp),
            f"{kind}_LDFLAGS": " ".join((*flags.ldflags, *(prefix + one for one in project.link_base))),
        }
    return words


def _rows(own: tuple[str, ...]) -> Iterator[str]:
    """The rows of the README for the files of a project that come from the SDK."""
    names = [Path(file).name for file in own]
    for name in names:
        text = next(text for end, text in _OWN.items() if name.endswith(end))
        yield f"| `{name}` | {text.format(vectors='' if 'vectors.S' in names else ', and the exception vectors')} |"


def _fill(template: Path, words: dict[str, str]) -> str:
    text = template.read_text(encoding="utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda mark: words.get(mark[1], mark[0]), text)
