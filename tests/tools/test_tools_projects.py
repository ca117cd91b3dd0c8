"""Payloads of one's own: a new project builds and runs as it is, and what cannot be built or run says why."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from cca_platform.errors import MachineError
from cca_tools.cli import main
from realmlab.projects.build import environment_of_tools
from realmlab.projects.compilers import GCC_NAMES, find_compiler
from realmlab.projects.contents import contents
from realmlab.projects.linked import check_linked
from realmlab.projects.project import FILE, new_project
from realmlab.projects.worlds import SDK, WORLDS

_COMPILERS = [
    pytest.param("zig", marks=pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed")),
    pytest.param("gcc", marks=pytest.mark.skipif(not any(map(shutil.which, GCC_NAMES)), reason="no gcc for AArch64")),
]
_WORLDS = {
    "realm": (["run", "build/mine.elf"], "Hello from Realm EL1: RSI 1.0"),
    "ns": (["run", "--world", "ns-el2", "build/mine.elf"], "Hello from Non-secure EL2: RMI 1.0"),
    "secure": (
        ["run", "--world", "ns-el2", "ns_rmi", "--secure", "build/mine.elf", "--uart", "2=-"],
        "Hello from Secure EL1",
    ),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestNew:
    """`realmlab new`."""

    @pytest.mark.parametrize("cc", _COMPILERS)
    @pytest.mark.parametrize("world", WORLDS)
    def test_builds_and_runs(
        self, here: Path, world: str, cc: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A new project is a payload of its world: the commands it prints build and run it, with either compiler."""
        command, said = _WORLDS[world]
        assert main(["new", world, "mine"]) == 0
        assert capfd.readouterr().out == f"cd mine && realmlab build && realmlab {' '.join(command)}\n"
        monkeypatch.chdir(here / "mine")
        assert main(["build", "--cc", cc]) == 0
        printed = capfd.readouterr()
        assert printed.out == f"build/mine.elf: built with {cc}\n"
        assert printed.err == ""
        assert main([*command, "-q"]) == 0
        assert said in capfd.readouterr().out.splitlines()
        assert f"realmlab {' '.join(command)}\n" in Path("README.md").read_text()

    @pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed: nothing can be built")
    @pytest.mark.parametrize("world", ["ns", "secure"])
    def test_another_board(
        self, here: Path, world: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Memory and devices of NS-EL2 and Secure EL1 are those of a board; a Realm is the same on all."""
        assert main(["new", world, "mine", "--board", "virt"]) == 0
        *_, run = capfd.readouterr().out.strip().split(" && ")
        monkeypatch.chdir(here / "mine")
        assert main(["build"]) == 0
        assert main([*run.split()[1:], "-q"]) == 0
        assert _WORLDS[world][1] in capfd.readouterr().out
        assert main(["new", "realm", "mine", "--board", "virt"]) == 2
        assert "a Realm is the same on every board" in capfd.readouterr().err

    @pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed: nothing can be built")
    @pytest.mark.parametrize("world", ["realm", "ns"])
    def test_a_fault_of_the_program(self, here: Path, world: str, capfd: pytest.CaptureFixture[str]) -> None:
        """An exception that a new project does not expect is status 3, and its report has the line in the source."""
        assert main(["new", world, "mine"]) == 0
        source = here / "mine/main.c"
        lines = source.read_text().splitlines()
        at = next(number for number, line in enumerate(lines) if line.strip().startswith("return 0;"))
        lines.insert(at, "    *(volatile int *)0xffff00000000 = 1;")
        source.write_text("\n".join(lines) + "\n")
        assert main(["build", "mine"]) == 0
        capfd.readouterr()
        place = () if world == "realm" else ("--world", "ns-el2")
        assert main(["run", *place, "mine/build/mine.elf", "-q"]) == 3
        assert re.search(rf"0xffff00000000.* main\+0x\w+ \(main\.c:{at + 1}\)", capfd.readouterr().err)

    @pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed: nothing can be built")
    def test_a_fault_that_is_caught(self, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """What CATCH has handled is no cause of what comes later, however deep in the stack that is."""
        assert main(["new", "realm", "mine"]) == 0
        (here / "mine/main.c").write_text(
            '#include "runtime.h"\n'
            "static __attribute__((noinline)) void deep(void) { volatile int room[64]; room[0] = 1; for (;;); }\n"
            "int main(void)\n{\n    struct fault fault;\n"
            "    CATCH(fault) *(volatile int *)0xffff00000000 = 1;\n"
            '    printf("caught %d\\n", fault.taken);\n    deep();\n}\n'
        )
        assert main(["build", "mine"]) == 0
        capfd.readouterr()
        assert main(["run", "mine/build/mine.elf", "-q", "--max-insns", "1000000"]) == 4
        out, err = capfd.readouterr()
        assert out == "caught 1\n" and "vCPU 0 ends in a branch to itself at deep+0x" in err and "0xffff" not in err

    def test_every_copy_is_one(self, here: Path) -> None:
        """Start code, vectors and linker script are the SDK's, to be changed at will; no mark of a template is left."""
        for world, sdk in WORLDS.items():
            folder = here / world
            new_project(world, folder)
            for file in sdk.own:
                assert (folder / Path(file).name).read_text() == (SDK / file).read_text()
            for path in folder.iterdir():
                assert "@NAME@" not in path.read_text() and "@WORLD@" not in path.read_text(), path

    def test_nothing_is_overwritten(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A folder with anything in it, or a file, is refused, and stays as it was."""
        (here / "full").mkdir()
        (here / "full" / ".hidden").write_text("mine")
        (here / "file").write_text("mine")
        for name in ("full", "file"):
            assert main(["new", "realm", name]) == 2
            said = capsys.readouterr().err
            assert said == f"realmlab: {name} must be an empty folder or a new one: nothing is overwritten\n"
        assert [path.name for path in (here / "full").iterdir()] == [".hidden"]
        assert (here / "file").read_text() == "mine"

    def test_folders_that_cannot_be(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A loop of links and a name that is too long are one line each."""
        (here / "loop").symlink_to("loop")
        for name, wanted in (("loop", "loop cannot be a folder"), ("x" * 300, "(File name too long)")):
            assert main(["new", "realm", name]) == 2
            said = capsys.readouterr().err
            assert wanted in said and said.count("\n") == 1

    def test_a_name_that_is_none(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The folder's name is the payload's if it can be; else --name gives one. An empty folder will do."""
        (here / "two words").mkdir()
        assert main(["new", "realm", "two words"]) == 2
        assert "must be letters, digits, '_', '.' and '-', not 'two words': give --name" in capsys.readouterr().err
        assert main(["new", "realm", "two words", "--name", "mine"]) == 0
        assert capsys.readouterr().out.startswith("cd 'two words' && realmlab build && ")
        assert 'name = "mine"' in (here / "two words" / FILE).read_text()


class TestBuild:
    """`realmlab build`."""

    def test_no_project(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A folder without realmlab.toml is no project; one with another text says which field is wrong."""
        assert main(["build"]) == 2
        assert capsys.readouterr().err == (
            "realmlab: . is no project, without realmlab.toml: `realmlab new realm DIR` makes one\n"
        )
        for text, wrong in (
            ('name = "a"\nworld = "moon"', "is no project: world: must be one of ns, realm, secure, not 'moon'"),
            ('name = 1\nworld = "realm"', "is no project: name: must be "),
            ('name = "a"\nworld = "realm"\nfoo = 1', "is no project: "),
            ('name = "../a"\nworld = "realm"', "a payload's name must be letters"),
            ("[[[", "project file realmlab.toml is no project: "),
            ("x" * 70_000, "project file realmlab.toml has 70,000 bytes, more than 64 KiB"),
        ):
            (here / FILE).write_text(text)
            assert main(["build"]) == 2
            assert wrong in capsys.readouterr().err

    @pytest.mark.parametrize("cc", _COMPILERS)
    def test_an_error_of_the_compiler(self, here: Path, cc: str, capfd: pytest.CaptureFixture[str]) -> None:
        """It is shown as it is, then what did not build; the status is that of bad input."""
        new_project("realm", here / "mine")
        (here / "mine" / "main.c").write_text("int main(void) { return nothing; }\n")
        assert main(["build", "mine", "--cc", cc]) == 2
        said = capfd.readouterr().err.splitlines()
        assert any("main.c:1:25: error:" in line and "nothing" in line for line in said)
        assert said[-1].startswith("realmlab: main.c does not build: ")

    @pytest.mark.parametrize("cc", _COMPILERS)
    def test_names_that_look_like_options(self, here: Path, cc: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file, or the folder, may begin with a dash."""
        new_project("realm", here / "-mine", "mine")
        (here / "-mine" / "-o.c").write_text("int other(void) { return 0; }\n")
        assert main(["build", "--cc", cc, "--", "-mine"]) == 0
        monkeypatch.chdir(here / "-mine")
        assert main(["build", "--cc", cc]) == 0
        assert Path("build/mine.elf").is_file()

    def test_two_sources_of_one_name(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Their object files would be one."""
        new_project("realm", here / "mine")
        (here / "mine" / "start.c").touch()
        assert main(["build", "mine"]) == 2
        assert "start.S and start.c need different names" in capsys.readouterr().err

    def test_a_machine_without_home(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where HOME is missing or read-only, as in a container, zig's cache is in the project's build folder."""
        for name in ("HOME", "XDG_CACHE_HOME", "ZIG_GLOBAL_CACHE_DIR"):
            monkeypatch.delenv(name, raising=False)
        assert environment_of_tools(here)["ZIG_GLOBAL_CACHE_DIR"] == str(here)
        monkeypatch.setenv("HOME", str(here / "none"))
        assert environment_of_tools(here)["ZIG_GLOBAL_CACHE_DIR"] == str(here)
        monkeypatch.setenv("HOME", str(here))
        assert "ZIG_GLOBAL_CACHE_DIR" not in environment_of_tools(here)
        monkeypatch.delenv("HOME")
        monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", "/mine")
        assert environment_of_tools(here)["ZIG_GLOBAL_CACHE_DIR"] == "/mine"

    def test_a_file_of_the_project_replaces_one_of_the_sdk(self, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Whoever wants another console writes console.c."""
        new_project("realm", here / "mine")
        (here / "mine" / "console.c").write_text("#error mine\n")
        assert main(["build", "mine"]) == 2
        assert "error: mine" in capfd.readouterr().err

    def test_no_compiler(self, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """Without one, the message says how to get one; a compiler for another machine is refused by name."""
        new_project("realm", here / "mine")
        monkeypatch.setattr("realmlab.projects.compilers.find_zig", lambda: None)
        monkeypatch.setattr("realmlab.projects.compilers._find_gcc", lambda: None)
        (here / "empty").touch(mode=0o755)
        for option, wanted in (
            ([], "there is no compiler for AArch64: pip install 'realmlab[sdk]' brings zig, or install aarch64-linux"),
            (["--cc", "zig"], "zig is not installed: pip install 'realmlab[sdk]'"),
            (["--cc", "gcc"], "no gcc for AArch64 is installed: install aarch64-linux-gnu-gcc or aarch64-none-elf-gcc"),
            (["--cc", "none-such"], "--cc must be zig, gcc or a program, not none-such: there is no such program"),
            (["--cc", "false"], "/false is no compiler: name zig or a gcc for AArch64"),
            (["--cc", "./empty"], "empty cannot be run (Exec format error): name a compiler"),
        ):
            assert main(["build", "mine", *option]) == 2
            assert wanted in capsys.readouterr().err

    def test_another_machine(self, here: Path) -> None:
        """A compiler says for which machine it compiles."""
        other = here / "cc"
        other.write_text("#!/bin/sh\necho riscv64-unknown-elf\n")
        other.chmod(0o755)
        with pytest.raises(Exception, match="cc compiles for riscv64-unknown-elf: name zig or a gcc for AArch64"):
            find_compiler(str(other))
        other.write_text("#!/bin/sh\necho aarch64-unknown-elf\n")
        assert find_compiler(str(other)).compile == (str(other),)


_HEADERS = """
ENTRY(_start)
PHDRS { all PT_LOAD FILEHDR PHDRS; data PT_LOAD; }
SECTIONS {
    . = 0x7ffff000 + SIZEOF_HEADERS;
    .text : { *(.text.start) *(.text .text.* .rodata .rodata.*) } :all
    . = ALIGN(4096);
    __text_start = .; __text_end = .; __rodata_end = .; __user_text_end = .; __user_data_end = .;
    .data : { *(.data .data.*) } :data
    __bss_start = .; .bss : { *(.bss .bss.*) } :data __bss_end = .;
    __data_end = .; __stacks = .; __stacks_end = .; __overflow_stack_end = .; __tables = .; __tables_end = .;
    /DISCARD/ : { *(.comment .note.* .eh_frame* .ARM.attributes) }
}
"""
_TRAPS = {
    "headers": (
        "realm", None, _HEADERS,
        "below the first address that it may have, 0x80000000: link it with -n --build-id=none",
    ),
    "outside RAM": (
        "realm", ". = 0x80000000", ". = 0x40000000",
        "must load from the start of RAM, 0x80000000, not at 0x40000000: link it there",
    ),
    "too large": (
        "realm", "__bss_end = .;", ". += 0x8000000; __bss_end = .;", "must fit in its first 2 MiB",
    ),
    "entry": (
        "realm", "ENTRY(_start)", "ENTRY(far) EXTERN(_start) far = 0x90000000;",
        "has its entry 0x90000000 outside its segments",
    ),
    "outside DRAM": (
        "ns", ". = NS_BASE", ". = 0x40000000", "must lie in Non-secure DRAM (0x80000000..0xfbffffff,",
    ),
    "outside Secure memory": (
        "secure", "0xfc000000", "0xf0000000", "must be linked to start at 0xfc000000, with all of it below 0x",
    ),
}  # fmt: skip
"""What is wrong with a linker script: the world, what is replaced by what, and what the message says."""


@pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed: nothing can be built")
class TestTraps:
    """What linkers do wrong is named when a program is built, and in the same words when it is run."""

    @pytest.mark.parametrize("trap", _TRAPS)
    def test_named(self, here: Path, trap: str, capfd: pytest.CaptureFixture[str]) -> None:
        """The build ends with the words that a run of the file has."""
        world, old, new, wanted = _TRAPS[trap]
        project = new_project(world, here / "mine")
        script = here / "mine" / project.script
        script.write_text(new if old is None else script.read_text().replace(old, new))
        assert main(["build", "mine"]) == 2
        said = capfd.readouterr().err
        assert wanted in said
        if trap != "too large":  # there is no file: the linker script itself says so
            command, _ = _WORLDS[world]
            assert main([word.replace("build/", "mine/build/") for word in command]) == 2
            ran = capfd.readouterr().err
            assert wanted in ran
            assert ran == said

    def test_odd(self, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """What runs all the same is told: a segment that is both writable and executable, a dynamic loader."""
        project = new_project("realm", here / "mine")
        script = here / "mine" / project.script
        headers = "PHDRS { all PT_LOAD FLAGS(7); loader PT_INTERP; }\n"
        script.write_text(script.read_text().replace("SECTIONS {", headers + "SECTIONS {"))
        assert main(["build", "mine"]) == 0
        said = capfd.readouterr().err
        assert "mine.elf has a segment at 0x80000000 that is both writable and executable: align code and data" in said
        assert "mine.elf asks for a dynamic loader, which is not there: link it with -static" in said

    def test_another_machine(self, here: Path) -> None:
        """A linker that makes a program for another machine is found out."""
        project = new_project("realm", here / "mine")
        assert main(["build", "mine"]) == 0
        path = here / "mine" / project.output
        data = bytearray(path.read_bytes())
        data[0x12] = 62
        path.write_bytes(data)
        with pytest.raises(MachineError, match="must be an AArch64 ELF, not x86-64: build it for AArch64"):
            check_linked(path, project)


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
class TestMake:
    """The Makefile of a project."""

    @pytest.mark.parametrize(
        ("settings", "wanted"),
        [
            (["REALMLAB=none-such"], "the SDK is not there: pip install realmlab, or make REALMLAB="),
            ([f"SDK={SDK}", "ZIG="], "zig is not there: pip install 'realmlab[sdk]', or make TOOLCHAIN=gcc"),
            (["SDK=/my sdk"], "make knows no blank in a path, and the SDK is in /my sdk: use `realmlab build`"),
        ],
    )
    def test_what_is_missing(self, here: Path, settings: list[str], wanted: str) -> None:
        """What make cannot find or use is named, with what to do."""
        new_project("realm", here / "mine")
        command = ["make", "-C", "mine", *settings]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert wanted in done.stderr


class TestSdk:
    """`realmlab sdk`."""

    def test_contents(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It lists every file with what it is for; --print-path gives the folder for a Makefile."""
        assert main(["sdk"]) == 0
        said = capsys.readouterr().out
        for folder, rows in contents().items():
            assert f"\n{folder}/\n" in said
            for file, purpose in rows:
                assert len(purpose) > len(file) and "\n" not in purpose, f"{folder}/{file}: {purpose!r}"
        assert main(["sdk", "--print-path"]) == 0
        assert capsys.readouterr().out == f"{SDK}\n"
