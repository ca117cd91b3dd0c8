"""Debian's Linux with a network and folders of the host, as a Realm and as a plain VM; ``--linux`` boots it."""

import hashlib
import random
import socket
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from select import select
from subprocess import PIPE, Popen, run
from typing import Any

import pytest

from cca_arch.types import Ticks
from cca_firmware.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import Pause, RunOptions, Vmm
from cca_host.kvmtool.options import RunResult, ShareOption
from cca_platform.board import Board
from cca_platform.machine.inputs import Journal
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode
from cca_rmm.rmm import Rmm
from cca_tools.linux.job import Job, Request, prepare

START = [sys.executable, "-c", "import sys; from cca_tools.start import main; sys.exit(main())", "linux", "-q"]
SIZE = 4 << 20


@pytest.fixture(scope="module", autouse=True)
def _asked(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--linux"):
        pytest.skip("--linux boots Debian's Linux")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A server on the loopback that has 4 MiB under /data: its port, and the digest of the data."""
    folder = tmp_path_factory.mktemp("served")
    data = random.Random(7).randbytes(SIZE)
    (folder / "data").write_bytes(data)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield one.server_address[1], hashlib.sha256(data).hexdigest()
        one.shutdown()


def linux(*options: str) -> str:
    """What a command prints in a guest, which must end well."""
    done = run([*START, *options], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class TestDevices:
    @pytest.mark.parametrize(
        "options",
        [
            ("--share", "DIR"),
            ("--share", "DIR", "--vcpus", "2", "--no-realm"),
            ("--transport", "mmio", "--flavour", "generic", "--9p", "DIR,share"),
        ],
        ids=["Realm, PCI, virtiofs", "plain VM, PCI, virtiofs", "Realm, MMIO, 9P"],
    )
    def test_all(self, tmp_path: Path, server: tuple[int, str], options: tuple[str, ...]) -> None:
        """An address, a ping, 4 MiB over TCP; the folder is read and written, and holds them in the end."""
        port, digest = server
        (tmp_path / "hello").write_text("from the host\n")
        script = f"""set -e
            ip -4 addr show eth0 | grep -q 10.0.2.15
            ping -q -c 2 10.0.2.2 | grep 'packet loss'
            wget -q -O /tmp/data http://10.0.2.2:{port}/data
            sha256sum < /tmp/data
            cd /mnt/share; cat hello; mkdir sub; cp /tmp/data sub/new; mv sub/new sub/data; ln -s data sub/link
            sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum < sub/link
        """
        given = [option.replace("DIR", str(tmp_path)) for option in options]
        printed = linux("--network", "user", *given, "--", script).splitlines()
        assert printed[0].startswith("2 packets transmitted, 2 packets received")
        assert printed[1:] == [f"{digest}  -", "from the host", f"{digest}  -"]
        assert hashlib.sha256((tmp_path / "sub" / "data").read_bytes()).hexdigest() == digest
        assert (tmp_path / "sub" / "link").readlink() == Path("data")

    def test_forward(self) -> None:
        """A client of the host sends 1 MiB to a port of the guest, and gets an answer."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["--network", f"user,hostfwd=tcp::{port}-:22", "--", "nc -l -p 22 -e sha256sum; true"]
        data = random.Random(8).randbytes(1 << 20)
        with Popen([*START, *command], stdout=PIPE, stderr=PIPE) as guest:
            threading.Thread(target=guest.communicate, daemon=True).start()
            answer = b""
            while guest.poll() is None and not answer:
                answer = _ask(port, data)
            guest.wait(300)
        assert answer.split()[0].decode() == hashlib.sha256(data).hexdigest()


def _ask(port: int, data: bytes) -> bytes:
    """The answer to ``data``; nothing if nobody listens yet."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=300) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(1000):
                answer += part
    except OSError:
        threading.Event().wait(1)
    return answer


def test_replay(tmp_path: Path, server: tuple[int, str]) -> None:
    """A run that has used sockets and files is the same again from its journal, with neither of them."""
    port, digest = server
    (tmp_path / "hello").write_text("from the host\n")
    command = f"""
        wget -q -O - http://10.0.2.2:{port}/data | sha256sum; cat /mnt/share/hello; date > /mnt/share/new; sleep 1
    """
    wanted = Request(
        command=command, console="virtio", network=True, bounce=True, shares=(("virtiofs", "share"),)
    )  # fmt: skip
    job = prepare(wanted, lambda text: None)
    first, journal = _run(job, tmp_path, record=True)
    assert digest in first.console.decode() and "from the host" in first.console.decode()
    for path in tmp_path.iterdir():
        path.unlink()
    again, _ = _run(job, tmp_path, replay=decode(encode(journal), Journal))
    assert (again.console, again.instructions, again.ticks, again.exits) == (
        first.console, first.instructions, first.ticks, first.exits
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_resumed(tmp_path: Path, server: tuple[int, str]) -> None:
    """A checkpoint goes on in another machine: an open file goes on, a connection breaks, a new one can be made."""
    port, digest = server
    (tmp_path / "hello").write_text("from the host\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = f"""
            exec 3< /mnt/share/hello; echo ready; nc 10.0.2.2 {silent.getsockname()[1]}; echo broken
            cat <&3; ls -1 /mnt/share; wget -q -O - http://10.0.2.2:{port}/data | sha256sum
        """
        wanted = Request(
            command=command, console="virtio", network=True, bounce=True, shares=(("virtiofs", "share"),)
        )  # fmt: skip
        vmm = _built(prepare(wanted, lambda text: None), tmp_path)
        clock = vmm.machine.clock
        while not select([silent], [], [], 0)[0]:  # until the guest has come
            assert vmm.advance(until=Ticks(clock.now + clock.counter_hz // 10)) is Pause.TIME
        peer, _ = silent.accept()
        vmm.advance(until=Ticks(clock.now + clock.counter_hz // 10))
        checkpoint = decode(encode(vmm.machine.checkpoint()), Checkpoint)
        peer.close()
        vmm.destroy()
        vmm.machine.close()
    (tmp_path / "new").write_text("")
    machine = Machine(Board.load("fvp"))
    system = System(machine)
    boot(machine, rmm=Rmm(machine), ns_program=system)
    machine.adopt(checkpoint, lambda name, state: Vmm.resumed(system, state))
    (again,) = (part for part in machine.parts.values() if isinstance(part, Vmm))
    again.advance()
    again.destroy()
    machine.close()
    printed = again.result().console.decode().replace("\r", "").split("ready\n")[1]
    assert printed.startswith(f"broken\nfrom the host\nhello\nnew\n{digest}  -\n")


def _run(job: Job, folder: Path, **options: Any) -> tuple[RunResult, Journal]:
    """A run of a Realm on a machine of its own, and the journal of its inputs."""
    vmm = _built(job, folder, **options)
    vmm.advance()
    vmm.destroy()
    journal = vmm.machine.inputs.journal()
    vmm.machine.close()
    return vmm.result(), journal


def _built(job: Job, folder: Path, **options: Any) -> Vmm:
    machine = Machine(Board.load("fvp"), **options)
    system = System(machine)
    boot(machine, rmm=Rmm(machine), ns_program=system)
    vmm = Vmm(
        system,
        RunOptions(
            payload=job.kernel,
            initrd=job.initrd,
            args=job.args,
            memory=256 << 20,
            console="virtio",
            network="user",
            shares=[ShareOption(path=str(folder))],
        ),
    )
    vmm.build()
    return vmm
