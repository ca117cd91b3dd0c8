"""Compiled code is kept by the digest of everything that it depends on."""

from pathlib import Path

import pytest

from cca_platform.native import cache

FILES = {
    "cca_arch/__init__.py": "",
    "cca_arch/fields.py": "",
    "cca_arch/sysregs/__init__.py": "from cca_arch.sysregs.hypervisor import (\n    Hcr,\n)\n",
    "cca_arch/sysregs/hypervisor.py": "from cca_arch.fields import Bits\n",
    "cca_arch/rmi.py": "",
    "cca_platform/isa/frame.py": "",
    "cca_platform/mmu/walk.py": "",
    "cca_platform/native/__init__.py": "",
    "cca_platform/native/block.py": "",
    "cca_platform/engine/timers.py": "from typing import Final\n",
    "cca_platform/pe/pe.py": "",
    "cca_platform/engine/hooks.py": (
        "from cca_arch.sysregs import Hcr\nfrom cca_platform.native import block as w\n"
        "from cca_platform.engine import timers\n"
        "\nif TYPE_CHECKING:\n    from cca_platform.pe import pe\n\n@jit('i8(i8)')\ndef hook(p): ...\n"
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


class TestSources:
    """Which files a compiled function depends on."""

    def test_what_native_files_import_and_what_that_imports(self, root):
        """A constant may come through a package from the file that declares it."""
        names = {Path(path).relative_to(root).as_posix() for path in cache.sources(str(root))}
        assert names == FILES.keys() - {
            "cca_arch/__init__.py", "cca_arch/rmi.py", "cca_platform/pe/pe.py", "cca_platform/isa/frame.py",
            "cca_platform/mmu/walk.py",
        }  # fmt: skip

    def test_folders(self):
        """Native functions are in the folders that are looked into, and nowhere else."""
        package = Path(cache.__file__).parents[1]
        sources = [path for path in package.rglob("*.py") if any(mark in path.read_bytes() for mark in cache.MARKS)]
        assert sources and {path.parent for path in sources} <= {package / folder for folder in cache.FOLDERS}

    @pytest.mark.parametrize(
        "name",
        [
            "cca_arch/fields.py", "cca_arch/types.py", "cca_arch/sysregs/encodings.py",
            "cca_arch/sysregs/hypervisor.py", "cca_arch/sysregs/pstate.py", "cca_platform/engine/registers.py",
            "cca_platform/native/block.py", "cca_platform/mmu/gpc.py", "cca_platform/engine/timers.py",
            "cca_platform/isa/frame.py", "cca_platform/isa/pstate.py", "cca_platform/native/layout.py",
            "cca_arch/sysregs/__init__.py", "cca_arch/sysregs/translation.py", "cca_arch/sysregs/syndrome.py",
            "cca_arch/sysregs/timer.py", "cca_arch/descriptors/gpt.py", "cca_arch/descriptors/stage1.py",
            "cca_arch/descriptors/stage2.py", "cca_arch/gic.py", "cca_platform/mmu/walk.py",
            "cca_platform/mmu/regime.py",
        ],
    )  # fmt: skip
    def test_of_this_project(self, name):
        """Where the walkers, hooks and transfers have their constants from."""
        root = Path(cache.__file__).parents[2]
        assert str(root / name) in cache.sources()

    def test_not_the_calls_of_worlds(self):
        """RMI and the like may change without a new compilation."""
        root = Path(cache.__file__).parents[2]
        assert not {path for path in cache.sources() if path.startswith(str(root / "cca_arch/rmi"))}
