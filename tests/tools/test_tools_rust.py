"""A payload in Rust, without std."""

import shutil
from pathlib import Path

import pytest

from cca_platform.errors import MachineError
from cca_tools.cli import main
from realmlab.payloads import find_payload
from realmlab.projects.project import FILE, new_project
from realmlab.projects.rust import TARGET, target_here
from realmlab.projects.worlds import SDK

_CARGO = """#!/bin/sh
[ "$*" = "build --release --target {target} --target-dir $PWD/target" ] || exit 1
mkdir -p target/{target}/release
cp "{payload}" target/{target}/release/mine
"""


class TestRust:
    """`realmlab new realm DIR --lang rust`, and its build."""

    @pytest.mark.skipif(not target_here(), reason=f"Rust with the core library of {TARGET} is not installed")
    def test_builds_and_runs(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """A new project is a payload: cargo builds it, without a warning, and it runs."""
        folder = tmp_path / "mine"
        assert main(["new", "realm", str(folder), "--lang", "rust"]) == 0
        assert main(["build", str(folder)]) == 0
        assert "warning" not in capfd.readouterr().err
        assert main(["run", "-q", str(folder / "build" / "mine.elf")]) == 0
        assert capfd.readouterr().out == "Hello from Realm EL1: RSI 1.0\n"

    def test_files(self, tmp_path: Path) -> None:
        """The project has its own copies of everything, the constants and structures of the SDK among them."""
        project = new_project("realm", tmp_path / "mine", lang="rust")
        files = {path.relative_to(tmp_path / "mine").as_posix() for path in (tmp_path / "mine").rglob("*.*")}
        assert files == {
            ".cargo", ".cargo/config.toml", ".gitignore", "Cargo.toml", "README.md", FILE, "realm.ld", "src/abi.rs",
            "src/main.rs", "src/runtime.rs", "src/start.s",
        }  # fmt: skip
        assert (tmp_path / "mine/src/abi.rs").read_text() == (SDK / "rust/abi.rs").read_text()
        assert f"{project.run}\n" in (tmp_path / "mine/README.md").read_text()
        assert not [name for name in files if "@" in name]
        for path in (tmp_path / "mine").rglob("*.*"):
            assert not path.is_file() or "@NAME@" not in path.read_text(), path
        assert f'target = "{TARGET}"' in (tmp_path / "mine/.cargo/config.toml").read_text()

    def test_cargo_does_the_rest(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The program that cargo leaves behind is copied to where every project has it, and checked."""
        monkeypatch.chdir(tmp_path)
        tools = tmp_path / "tools"
        tools.mkdir()
        library = tmp_path / "library"
        library.mkdir()
        (library / "libcore-1.rlib").touch()
        for name, text in (
            ("cargo", _CARGO.format(target=TARGET, payload=find_payload("hello"))),
            ("rustc", f"#!/bin/sh\necho {library}\n"),
        ):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tools), prepend=":")
        new_project("realm", Path("mine"), lang="rust")
        monkeypatch.chdir("mine")
        assert main(["build"]) == 0
        assert Path("build/mine.elf").read_bytes() == find_payload("hello").read_bytes()
        assert main(["run", "-q", "build/mine.elf"]) == 0

    def test_what_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without cargo or the core library of the target, the message says how to get it."""
        new_project("realm", tmp_path / "mine", lang="rust")
        which = shutil.which
        monkeypatch.setattr("shutil.which", lambda name: None if name in {"cargo", "rustc"} else which(name))
        with pytest.raises(MachineError, match="cargo is not installed: install Rust with rustup"):
            _build(tmp_path / "mine")
        monkeypatch.setattr("shutil.which", lambda name: "/bin/true" if name == "cargo" else None)
        with pytest.raises(MachineError, match=f"Rust has no core library for {TARGET}: rustup target add {TARGET}"):
            _build(tmp_path / "mine")

    def test_what_cannot_be(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Other worlds are for C; cargo takes no dot in a name; its compiler cannot be chosen."""
        folder = str(tmp_path / "mine")
        for command, wanted in (
            (["new", "ns", folder, "--lang", "rust"], "a payload in Rust must be for a Realm, not for ns"),
            (["new", "realm", folder, "--lang", "rust", "--name", "a.b"], "must have no dot, not 'a.b': give --name"),
            (["new", "realm", folder, "--lang", "rust"], ""),
            (["build", folder, "--cc", "gcc"], "must be built by cargo, which has its own compiler: give no --cc"),
        ):
            assert main(command) == (2 if wanted else 0)
            assert wanted in capsys.readouterr().err


def _build(folder: Path) -> None:
    from realmlab.projects.build import build_project

    build_project(folder)
