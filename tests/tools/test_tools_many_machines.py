"""Many machines in one process: nothing is left of one that is closed, nor of one that is lost. How a process that has
one ends and forks."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import realmlab
from realmlab import Machine, MachineError, NsMachine

linux = pytest.mark.skipif(sys.platform != "linux", reason="the costs of a process are read from /proc")
CLOSED = r"^a machine must be open for .*, not closed: make another$"
_NOISE = 24 << 10  # KiB by which what is free in the process's own heap varies


def python(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run Python in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )


@linux
class TestMany:
    def test_flat(self, request: pytest.FixtureRequest) -> None:
        """The last machines leave the process as the first ones do, without waiting for the cyclic collector."""
        program = Path(__file__).parents[1] / "support" / "many_machines.py"
        done = python(program, request.config.getoption("--machines"))
        assert (done.returncode, done.stderr) == (0, "")
        first, last = ([int(word) for word in line.split()] for line in done.stdout.splitlines())
        more = [after - before for before, after in zip(first, last, strict=True)]
        resident, virtual, maps, files, threads, objects = more
        assert resident < _NOISE and virtual < 2 * _NOISE, (first, last)
        assert (files, threads) == (0, 0) and abs(maps) < 16 and objects < 200, (first, last)


class TestLost:
    """A machine that nobody closes."""

    def test_warning(self, tmp_path: Path) -> None:
        """It says so, and what it holds is given back: its trace is a whole file."""
        trace = tmp_path / "trace.jsonl"
        code = (
            "import gc, os, sys, warnings, realmlab\n"
            "warnings.simplefilter('error')\n"
            "sys.unraisablehook = lambda problem: print(problem.exc_type.__name__, problem.exc_value)\n"
            "files = len(os.listdir('/proc/self/fd'))\n"
            "machine = realmlab.Machine(trace=sys.argv[1])\n"
            "machine.realm('hello').run(max_insns=300)\n"
            "del machine\n"
            "gc.collect()\n"
        )
        done = python("-c", code, trace)
        assert done.stdout.startswith("ResourceWarning a machine must be closed, not lost: use a `with` block")
        assert trace.read_text().endswith("}\n")

    def test_files(self, tmp_path: Path) -> None:
        """Files of nonvolatile memory are written by close() alone, and the warning says what is lost."""
        path = tmp_path / "kept"
        machine = NsMachine("ns_gpf", nonvolatile=[f"0x90000000:4K={path}"])
        with pytest.warns(ResourceWarning, match="not lost with what its nonvolatile memory has for files: "):
            machine.__del__()
        assert not path.exists()
        machine.close()

    def test_exit(self) -> None:
        """A process that ends with an open machine, half-way through a run, ends as any other does."""
        code = (
            "import realmlab\n"
            "machine = realmlab.Machine(); realm = machine.realm('hello', vcpus=2); realm.run(max_insns=300)\n"
            "saved = machine.snapshot(); other = realmlab.NsMachine('ns_gpf'); other.run(max_insns=1000)\n"
            "hook = machine.hook(0x8000_0000, print); print('done')\n"
        )
        done = python("-W", "error", "-c", code)
        assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")

    def test_not_made(self) -> None:
        """A machine that could not be made is not lost: there is nothing to close."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for bad in ({"board": "none"}, {"cpu": "z80"}, {"trace": "/nowhere/t.jsonl"}):
                with pytest.raises(MachineError):
                    Machine(**bad)  # type: ignore[arg-type] # that is the point
            with pytest.raises(MachineError):
                NsMachine("ns_gpf", nonvolatile=["0:4K"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
class TestFork:
    def test_both_go_on(self) -> None:
        """A fork in the middle of a run has two machines, and each goes on as if it were the only one."""
        with Machine() as machine, machine.realm("hello") as realm:
            realm.run(max_insns=500)
            saved = machine.snapshot()
            read, write = os.pipe()
            child = os.fork()
            if not child:
                try:
                    facts = repr((realm.run(), realm.console, machine.platform.clock.now))
                    machine.restore(saved)
                    again = repr((realm.run(), realm.console, machine.platform.clock.now))
                    os.write(write, (facts if facts == again else f"{facts} is not {again}").encode())
                    machine.close()
                finally:
                    os._exit(0)
            os.close(write)
            with os.fdopen(read, "rb") as pipe:
                told = pipe.read().decode()
            assert os.waitpid(child, 0)[1] == 0
            assert repr((realm.run(), realm.console, machine.platform.clock.now)) == told


class TestClosed:
    """What a user still holds of a closed machine tells so."""

    def test_all(self) -> None:
        """Registers, memory, views, hooks, input: one answer. To show them raises nothing, nor does closing again."""
        machine = Machine()
        realm = machine.realm("hello")
        realm.run(max_insns=500)
        saved, cpu, vcpu = machine.snapshot(), machine.cpus[0], realm.vcpus[0]
        granule, rtt, rec, port = machine.granule(realm.rd), realm.rtt, realm.rec, machine.memory.backdoor
        machine.close()
        machine.close()
        machine.platform.close()
        calls = [
            lambda: cpu.pc, lambda: cpu.regs.x0, lambda: cpu.regs.sp_el1, lambda: cpu.regs.vbar_el1,
            lambda: setattr(cpu.regs, "x0", 1), lambda: setattr(cpu.regs, "v0", 1), lambda: cpu.read(0x8000_0000, 4),
            lambda: vcpu.rec.state, lambda: granule.data, lambda: granule.gpi, lambda: granule.state,
            lambda: list(rtt), lambda: rec.facts, lambda: port.read(0x8000_0000, 4), lambda: port.write8(0, 1),
            lambda: machine.memory.port(realmlab.SecurityState.REALM), lambda: machine.hook(0x8000_0000, print),
            lambda: machine.on("rmi.call", print), lambda: machine.break_on("rmi.call"), machine.__enter__,
            lambda: realm.hook(0x8000_0000, print), lambda: realm.break_on("main"), lambda: realm.send("x"),
            machine.platform.run, machine.platform.snapshot, lambda: machine.platform.restore(saved.machine),
            machine.platform.checkpoint, lambda: machine.platform.reset("again"),
            lambda: machine.cpus[3].regs.esr_el1,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(MachineError, match=CLOSED):
                call()
        held = (machine, realm, cpu, cpu.regs, vcpu, granule, rtt, rec, saved, machine.cpus, realm.vcpus)
        assert all("closed" in repr(one) or "gone" in repr(one) or one is saved or one is machine for one in held)
        assert not realm.alive and machine.realms == () and machine.stop() is None

    def test_ns(self) -> None:
        """The same of firmware-level software."""
        machine = NsMachine("ns_gpf")
        regs = machine.regs
        machine.close()
        for call in (lambda: regs.x0, lambda: machine.send("x"), machine.write_nonvolatile, machine.sendline):
            with pytest.raises(MachineError, match=CLOSED):
                call()

    def test_inner_block(self) -> None:
        """A Realm's block that ends after its machine is closed ends in peace, and lets an exception through."""
        with pytest.raises(ZeroDivisionError), Machine() as machine, machine.realm("hello"):
            machine.close()
            raise ZeroDivisionError
