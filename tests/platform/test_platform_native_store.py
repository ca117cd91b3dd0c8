"""Compiled code on disk: damage is seen, strangers are not believed, and no trouble with files ends a run."""

import os
import resource
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from cca_platform.errors import CacheWarning
from cca_platform.native import cache
from cca_platform.native.store import Store, places

DATA = bytes(range(256)) * 3
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's part")
NOBODY = 61234
"""A user that no machine knows."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(iter([tmp_path / "store"]))


def python(code: str) -> "subprocess.CompletedProcess[str]":
    """Run ``code`` in a process of its own that finds the packages of this one, and no HOME."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "REALMLAB_FAST": ""}  # stock, whatever make fast has built
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


class TestEntries:
    """What is saved is what is loaded, or nothing."""

    def test_kept(self, store):
        """An entry is found under its name, and the newest counts; there are no other files."""
        assert store.load("one") is None
        for data in (DATA, b"", DATA[::-1]):
            store.save("one", data)
            assert store.load("one") == data
        assert [path.name for path in store.folder.iterdir()] == ["one"]

    @pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 32 + len(DATA) - 1])
    def test_truncated(self, store, size):
        """A file that was cut anywhere, even to nothing, is no entry."""
        store.save("one", DATA)
        os.truncate(store.folder / "one", size)
        with pytest.warns(CacheWarning, match="one is damaged and is made again$"):
            assert store.load("one") is None

    def test_every_bit(self, tmp_path):
        """No flipped bit of an entry goes unseen."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            store = Store(iter([tmp_path]))
            store.save("one", DATA)
            path = tmp_path / "one"
            whole = path.read_bytes()
            for bit in range(8 * len(whole)):
                damaged = bytearray(whole)
                damaged[bit // 8] ^= 1 << bit % 8
                path.write_bytes(damaged)
                assert store.load("one") is None, bit

    def test_one_warning(self, store):
        """Many damaged files have one cause, and the user reads of it once."""
        for name in "ab":
            store.save(name, DATA)
            os.truncate(store.folder / name, 5)
        with pytest.warns(CacheWarning) as warned:
            assert store.load("a") is store.load("b") is None
        assert len(warned) == 1

    def test_full_disk(self, store):
        """What cannot be written whole is not there at all, and the entry of before still is."""
        store.save("one", DATA)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            with pytest.warns(CacheWarning, match=r"takes no more compiled code \(File too large\): give NUMBA_CACHE_"):
                store.save("one", DATA[::-1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert store.load("one") == DATA and [path.name for path in store.folder.iterdir()] == ["one"]

    def test_unreadable(self, store):
        """An entry that is a folder, say, is a warning."""
        (store.folder / "one").mkdir()
        with pytest.warns(CacheWarning, match=r"one cannot be read \(Is a directory\)"):
            assert store.load("one") is None

    def test_lock(self, store):
        """What keeps other processes out may fail: then they may be in, and there is a warning."""
        (store.folder / "lock").mkdir()
        with pytest.warns(CacheWarning, match=r"cannot be locked \(Is a directory\)"), store.alone():
            store.save("one", DATA)
        assert store.load("one") == DATA


class TestFolders:
    """Only a folder of the user's own is used."""

    def test_made(self, tmp_path):
        """A folder that is made is closed to others, whatever the umask."""
        before = os.umask(0)
        try:
            made = Store(iter([tmp_path / "a/b/c"])).folder
        finally:
            os.umask(before)
        assert made == tmp_path / "a/b/c" and made.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
    def test_open_to_others(self, tmp_path, mode):
        """Where others may write, what is found is not run: the next folder is asked."""
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(mode)
        assert Store(iter([tmp_path / "open", tmp_path / "own"])).folder == tmp_path / "own"

    def test_no_folder(self, tmp_path):
        """A file or a link in the folder's place is passed over."""
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "link").symlink_to(tmp_path)
        wrong = [tmp_path / "file", tmp_path / "file/inner", tmp_path / "link"]
        assert Store(iter([*wrong, tmp_path / "own"])).folder == tmp_path / "own"

    @AS_ROOT
    def test_of_another_user(self, tmp_path):
        """Another user's folder is not believed, even by root."""
        (tmp_path / "theirs").mkdir(mode=0o755)
        os.chown(tmp_path / "theirs", NOBODY, NOBODY)
        assert Store(iter([tmp_path / "theirs", tmp_path / "own"])).folder == tmp_path / "own"

    def test_none(self, tmp_path):
        """Without any folder nothing is kept, and one warning tells what to do."""
        nowhere: Iterator[Path] = iter(())
        with pytest.warns(CacheWarning, match="no folder to keep compiled code in: give NUMBA_CACHE_DIR a folder of"):
            store = Store(nowhere)
        store.save("one", DATA)
        assert store.load("one") is None


class TestPlaces:
    """Where the folders are."""

    def test_given(self, monkeypatch, tmp_path):
        """The user's word is the only one."""
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
        assert list(places(tmp_path / "package")) == [tmp_path]

    def test_in_order(self, monkeypatch, tmp_path):
        """Beside the package, with the user's caches, with temporary files."""
        monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
        found = list(places(tmp_path))
        assert found[:2] == [tmp_path / "__pycache__", tmp_path / "caches/realmlab"]
        assert [place.name for place in found[2:]] == [f"realmlab-{os.geteuid()}"]
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert list(places(tmp_path))[1] == tmp_path / ".cache/realmlab"

    @AS_ROOT
    def test_unknown_user(self, tmp_path):
        """A user without a name and without HOME, as in a container, has the temporary folder."""
        done = python(
            "import os, pathlib, random, tempfile; from cca_platform.native.store import places; "
            f"os.setuid({NOBODY}); print(*places(pathlib.Path({str(tmp_path)!r})))"
        )
        folder = Path(done.stdout.strip())
        assert (folder.name, done.stderr, done.returncode) == (f"realmlab-{NOBODY}", "", 0)
        folder.rmdir()


class TestRuns:
    """A run with damaged compiled code."""

    def test_damaged(self, tmp_path):
        """The output is the same, beside one line; the damaged code is there again afterwards."""
        mine = cache.store().folder
        assert mine is not None
        shutil.copytree(mine, tmp_path / mine.name)
        victim = next((tmp_path / mine.name).glob("code-*"))
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 0x10
        victim.write_bytes(content)
        code = (
            f"import os; os.environ['NUMBA_CACHE_DIR'] = {str(tmp_path)!r}; from cca_tools.cli import main; "
            "raise SystemExit(main(['run', 'hello', '--quiet']))"
        )
        done = python(code)
        assert (done.stdout.splitlines()[-1], done.returncode) == ("Hello from Realm EL1", 0)
        assert done.stderr.splitlines() == [f"realmlab: {victim} is damaged and is made again"]
        assert python(code).stderr == ""
