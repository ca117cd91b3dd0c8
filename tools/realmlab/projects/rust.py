"""The build of a project in Rust, by cargo."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from cca_platform.errors import MachineError

from .project import Project
from .tool import run_tool

__all__ = ["TARGET", "build_rust", "target_here"]

TARGET: Final = "aarch64-unknown-none-softfloat"
_SECONDS: Final = 60


def target_here() -> bool:
    """Whether an installed Rust has the core library of the target."""
    rustc = shutil.which("rustc")
    if rustc is None:
        return False
    command = [rustc, "--print", "target-libdir", "--target", TARGET]
    try:
        asked = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0 and any(Path(os.fsdecode(asked.stdout.strip())).glob("libcore-*.rlib"))


def build_rust(folder: Path, project: Project) -> Path:
    """Build with cargo, and copy the program to where every project has it. Raises MachineError without Rust."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise MachineError("cargo is not installed: install Rust with rustup (https://rustup.rs)")
    if not target_here():
        raise MachineError(f"Rust has no core library for {TARGET}: rustup target add {TARGET}")
    target = folder.resolve() / "target"
    run_tool(project.name, cargo, "build", "--release", "--target", TARGET, "--target-dir", str(target), cwd=folder)
    output = folder / project.output
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target / TARGET / "release" / project.name, output)
    except OSError as error:
        raise MachineError(f"{output} must be writable: {error.strerror}") from None
    return output
