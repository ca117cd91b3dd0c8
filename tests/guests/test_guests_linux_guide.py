"""Every command of the guide to Linux in a Realm, as it stands there; ``--linux`` runs them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from linux_guest import PROGRAM

from cca_tools.linux import rootfs

_GUIDE = Path(__file__).parents[2] / "docs" / "guide-linux.md"
_BLOCKS = re.findall(r"```sh\n(.*?)```", _GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the commands are given, one after the other."""
    made = tmp_path_factory.mktemp("guide")
    script = made / "realmlab"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    script.chmod(0o755)
    (made / "project").mkdir()
    return made


class TestGuide:
    """The guide, from its beginning to its end."""

    @pytest.mark.parametrize("text", [pytest.param(text, id=str(number)) for number, text in enumerate(_BLOCKS)])
    def test_block(self, folder: Path, text: str) -> None:
        """Each block ends well, or with the status that it names."""
        if "--rootfs" in text and rootfs._find("mke2fs") is None:
            pytest.skip("e2fsprogs is not installed")
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
        here = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": paths}
        done = subprocess.run(
            ["sh", "-e", "-c", text], cwd=folder / "project", env=here, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
