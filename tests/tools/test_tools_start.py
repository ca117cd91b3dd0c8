"""A signal before there is a run, at any moment: one line, the status of the signal, and no traceback."""

import os
import signal
import subprocess
import sys

import pytest

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
PREPARE = """
import importlib.abc, os, signal, sys

class Kill(importlib.abc.MetaPathFinder):
    '''Sends a signal when a module is about to load.'''

    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Kill())
sys.argv = ["realmlab", *{arguments!r}]
from cca_tools.start import main
sys.exit(main())
"""


def python(code: str) -> "subprocess.CompletedProcess[str]":
    """Run ``code`` in a process of its own that finds the packages of this one."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


def start(module: str, number: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that gets a signal when ``module`` is about to load, and does not ignore it from birth.

    A job in the background of a shell ignores SIGINT, and so would its children.
    """
    heard = f"import signal; signal.signal({int(number)}, signal.SIG_DFL)\n"
    return python(heard + PREPARE.format(module=module, number=int(number), arguments=arguments))


class TestBeforeTheRun:
    """While modules load and the machine boots."""

    @pytest.mark.parametrize("number", SIGNALS)
    @pytest.mark.parametrize(
        "module",
        [
            "cca_tools.cli", "cca_tools.cli.plain", "cca_tools.cli.run", "cca_tools.cli.realm_run",
            "cca_platform.memory.dram", "cca_platform.native.code", "cca_rmm.rmm", "cca_host.kvmtool.vmm",
        ],
    )  # fmt: skip
    def test_modules(self, module: str, number: signal.Signals) -> None:
        """Whatever loads just then, the command says that it was interrupted, and nothing else."""
        done = start(module, number, "run", "hello")
        assert (done.returncode, done.stderr, done.stdout) == (128 + number, "realmlab: interrupted\n", "")

    @pytest.mark.parametrize("number", SIGNALS)
    def test_modules_of_a_run(self, number: signal.Signals) -> None:
        """The engine loads when the Realm starts: from then on there is a summary."""
        done = start("unicorn", number, "run", "hello")
        assert (done.returncode, done.stderr.splitlines()[0]) == (128 + number, "realmlab: interrupted by the user")
        assert "payload         hello: exit status 130 (interrupted)" in done.stderr and "Traceback" not in done.stderr

    def test_module_of_a_later_moment(self) -> None:
        """The signal of these tests comes: a module that does not load sends none."""
        assert start("no.such.module", signal.SIGINT, "version").returncode == 0

    @pytest.mark.parametrize("arguments", [["trace", "show", "-"], ["attest", "cpak"], ["payloads"], ["--help"]])
    @pytest.mark.parametrize("module", ["cca_tools.cli.trace", "typer", "typer.main"])
    def test_other_commands(self, module: str, arguments: list[str]) -> None:
        """Every command ends so."""
        done = start(module, signal.SIGTERM, *arguments)
        assert (done.returncode, done.stderr) == (143, "realmlab: interrupted\n")

    def test_ignored(self) -> None:
        """A signal that the shell has the command ignore (nohup) is ignored."""
        code = PREPARE.format(module="unicorn", number=int(signal.SIGHUP), arguments=["run", "hello", "-q"])
        done = python(f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{code}")
        assert (done.returncode, done.stderr) == (0, "") and "Hello from Realm EL1" in done.stdout
