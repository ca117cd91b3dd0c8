"""Several VMs at once on one host: turns, states, death, and the same trace every time."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from assembly import assemble

import realmlab
from cca_arch.psci import Psci
from cca_host.kvmtool.layout import RAM_BASE
from cca_platform.board import Board
from cca_platform.errors import MachineError
from realmlab import Listing, Realm, Trace

MIX = (True, False, True)  # Realm, plain VM, Realm
SPIN = f"movz x0, #{0x4000}, lsl #16; again: subs x0, x0, #1; b.ne again; b again"
ENDS = f"movz x0, #{int(Psci.SYSTEM_OFF) >> 16}, lsl #16; movk x0, #{int(Psci.SYSTEM_OFF) & 0xFFFF}; smc #0"


@pytest.fixture
def payload(tmp_path):
    """Make a payload of instructions."""

    def make(name: str, source: str):
        path = tmp_path / name
        path.write_bytes(assemble(source, RAM_BASE))
        return path

    return make


def machine(listing: Listing | None = None) -> realmlab.Machine:
    """A host with two PEs."""
    board = Board.load("fvp")
    return realmlab.Machine(replace(board, pes=board.pes[:2]), trace=None if listing is None else Trace(listing))


def mixed(host: realmlab.Machine, name: str, vcpus: int = 2) -> list[Realm]:
    """Two Realms and a plain VM."""
    return [host.realm(name, realm=realm, vcpus=vcpus) for realm in MIX]


def states(listing: Listing) -> dict[tuple[int, int], list[tuple[str, int, int]]]:
    """What each thread did: (state, PE, time)."""
    found: dict[tuple[int, int], list[tuple[str, int, int]]] = {}
    for record in listing:
        if record["event"] == "vcpu.state":
            found.setdefault((record["vm"], record["vcpu"]), []).append(
                (record["state"], record["pe"], record["time"])
            )
    return found


class TestTogether:
    def test_six_vcpus_on_two_pes(self) -> None:
        """Two Realms and a plain VM with two vCPUs each do what each does alone; nothing is left of them."""
        with machine() as host:
            vms = mixed(host, "irq")
            for progress in host.run_all(vms):
                assert (progress.status, progress.reason) == (0, "exit")
                assert progress.console.decode().endswith("22 passed, 0 failed\n")
            for vm in vms:
                assert vm.destroy().granules_dirty == 0
            assert (host.host.pages.used, host.host.vmids) == (0, set())

    def test_states(self) -> None:
        """The trace tells of every thread what it does, on the PE that it is bound to; one runs at a time."""
        listing = Listing()
        with machine(listing) as host:
            host.run_all([*mixed(host, "smp"), host.realm("irq", vcpus=2)])
        found = states(listing)
        assert len(found) == 8
        for (_, vcpu), told in found.items():
            assert {pe for _, pe, _ in told} == {vcpu % 2}
            assert all(one[0] != other[0] for one, other in pairwise(told))
            assert {"running", "ready"} <= {state for state, _, _ in told}
            assert told[-1][0] == "off"
        assert "blocked" in {state for told in found.values() for state, _, _ in told}
        running: set[tuple[int, int]] = set()
        for record in listing:
            if record["event"] == "vcpu.state":
                thread = (record["vm"], record["vcpu"])
                running = running - {thread} | ({thread} if record["state"] == "running" else set())
                assert len(running) <= 1

    def test_deterministic(self) -> None:
        """The same VMs give the same trace."""
        traces = []
        for _ in range(2):
            listing = Listing()
            with machine(listing) as host:
                host.run_all(mixed(host, "irq"))
            traces.append(list(listing))
        assert traces[0] == traces[1]

    def test_fair(self, payload) -> None:
        """Busy threads of any VM, however many that has, get the same share."""
        name = payload("spin", SPIN)
        with machine() as host:
            vms = [host.realm(name, realm=realm) for realm in MIX]
            for progress in host.run_all(vms, max_insns=6_000_000):
                assert progress.reason == "limit"
            shares = [vm.instructions for vm in vms]
            assert max(shares) - min(shares) < 1_100_000
            more = host.run_all(vms, max_insns=6_000_000)
            assert max(one.instructions for one in more) - min(one.instructions for one in more) < 1_100_000

    def test_nobody_starves(self, payload) -> None:
        """Beside threads that never give up their PE, others do their work."""
        with machine() as host:
            spinning = [host.realm(payload("spin", SPIN), realm=realm) for realm in MIX]
            working = host.realm("irq", vcpus=2)
            progress = host.run_all([*spinning, working], max_insns=60_000_000)
            assert progress[-1].status == 0
            assert all(one.instructions > 100_000 for one in progress[:-1])

    def test_death(self, payload) -> None:
        """A VM that ends, fails or is stuck leaves the others alone."""
        with machine() as host:
            vms = [
                host.realm("irq", vcpus=2),
                host.realm(payload("ends", ENDS), realm=False),
                host.realm("lost"),
                host.realm("jump", realm=False),
                host.realm("irq", realm=False, vcpus=2),
                host.realm("spin", realm=False, max_insns=2_000_000),
            ]
            found = [(one.reason.value, one.status) for one in host.run_all(vms)]
            assert found == [
                ("exit", 0), ("system_off", 0), ("stuck", 3), ("exit", 3), ("exit", 0), ("limit", 4)
            ]  # fmt: skip

    def test_idle(self) -> None:
        """When nothing can wake any of them, they end; while one of them runs, the others may wait."""
        with machine() as host:
            found = host.run_all([host.realm("idle"), host.realm("irq", vcpus=2), host.realm("idle", realm=False)])
            assert [one.reason for one in found] == ["idle", "exit", "idle"]
            assert "the VM is idle for ever" in found[2].message

    def test_paused_anywhere(self) -> None:
        """A run in parts, through snapshots, and on one's own in between, comes to the same end."""
        with machine() as host:
            vms = mixed(host, "irq")
            host.run_all(vms, max_insns=60_000)
            snapshot = host.snapshot()
            straight = [(one.status, one.instructions) for one in host.run_all(vms)]
            host.restore(snapshot)
            parts: Counter[int] = Counter()
            while not all(vm.ended for vm in vms):
                alive = [vm for vm in vms if not vm.ended]
                for vm, one in zip(alive, host.run_all(alive, max_insns=10_000), strict=True):
                    parts[vms.index(vm)] += one.instructions
            assert [(0, parts[number]) for number in range(len(vms))] == straight
            host.restore(snapshot)
            assert vms[1].run().status == 0
            assert [one.status for one in host.run_all([vms[0], vms[2]])] == [0, 0]

    def test_hooks(self) -> None:
        """A hook is called in the code of its own VM; a breakpoint pauses all."""
        with machine() as host:
            vms = mixed(host, "hello", vcpus=1)
            hits: list[int] = []
            vms[1].hook("main", lambda cpu: hits.append(1))
            vms[2].break_on("main")
            found = host.run_all(vms)
            assert [one.reason for one in found if one.status is None] == ["breakpoint"] * len(
                [one for one in found if one.status is None]
            )
            assert found[2].reason == "breakpoint"
            assert [one.status for one in host.run_all([vm for vm in vms if not vm.ended])][-1] == 0
            assert hits == [1]

    def test_refused(self) -> None:
        """They must be live, different, and of this machine."""
        with machine() as host, machine() as other:
            vm = host.realm("hello")
            for wrong in ([], [vm, vm], [other.realm("hello")], ["hello"]):
                with pytest.raises(MachineError, match="must"):
                    host.run_all(wrong)
