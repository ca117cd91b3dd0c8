"""Debian's Linux in plain VMs and in several VMs at once: vCPUs that go and come, time, loads; ``--linux`` boots it."""

from dataclasses import replace

import pytest

import realmlab
from cca_platform.board import Board
from cca_tools.linux.job import Job, Request, prepare

HOTPLUG = """
    cat /proc/uptime; sleep 1; cat /proc/uptime
    for i in 1 2 3; do
        for state in 0 1; do
            echo $state > /sys/devices/system/cpu/cpu1/online; cat /sys/devices/system/cpu/online
        done
    done
    dmesg | grep -i -E 'warning|stall|BUG:|Oops|spurious' | head; true
"""
LOAD = """
    for cpu in 0 1; do (i=0; while [ $i -lt 60 ]; do (exec true); i=$((i + 1)); done; echo done) & done; wait
    dmesg | grep -i -E 'warning|stall|BUG:|Oops' | head; true
"""


def job(command: str) -> Job:
    """The kernel, with an init that runs a command."""
    return prepare(Request(command=command), lambda text: None)


def options(one: Job) -> dict[str, object]:
    """A VM for it."""
    return {"initrd": one.initrd, "args": one.args, "vcpus": 2, "memory": "256M"}


def lines(console: bytes, one: Job) -> list[str]:
    """What the command has printed, without what the init tells the host, and the kernel's last line."""
    told = (line for line in console.decode().splitlines() if line and one.nonce not in line)
    return [line for line in told if not line.endswith("reboot: Power down")]


@pytest.mark.parametrize("realm", [True, False], ids=["Realm", "plain VM"])
def test_hotplug(realm: bool) -> None:
    """A CPU is taken away and comes back; a second of sleep is one of virtual time; the kernel complains of nothing."""
    one = job(HOTPLUG)
    with realmlab.Machine() as machine:
        result = machine.run_realm(one.kernel, realm=realm, **options(one))
    assert (result.status, result.reason) == (0, "system_off")
    before, after, *rest = lines(result.console, one)
    assert 1 <= float(after.split()[0]) - float(before.split()[0]) < 1.2
    assert rest == ["0", "0-1"] * 3


@pytest.mark.timeout(900)
def test_together() -> None:
    """Two Realms and a plain VM, six busy vCPUs on two PEs of one host, end without a complaint of any kernel."""
    board, one = Board.load("fvp"), job(LOAD)
    with realmlab.Machine(replace(board, pes=board.pes[:2])) as machine:
        vms = [machine.realm(one.kernel, realm=realm, **options(one)) for realm in (True, False, True)]
        for progress in machine.run_all(vms):
            assert (progress.status, progress.reason) == (0, "system_off")
            assert lines(progress.console, one) == ["done", "done"]
