"""However a user drives a live machine, the software does the same."""

import contextlib
import random
from typing import Any, NamedTuple

import pytest

from realmlab import Machine, MachineError, NsMachine, Realm, Reason

_PAYLOADS = (("hello", 1), ("irq", 1), ("smp", 3), ("rsi", 1))


class Story(NamedTuple):
    """What a run has come to."""

    console: bytes
    instructions: int
    ticks: int
    calls: dict[str, int]
    exits: dict[str, int]


def ended(realm: Realm) -> Story:
    """Destroy the Realm; its story."""
    result = realm.destroy()
    assert (result.granules_left, result.granules_dirty) == (0, 0)
    return Story(result.console, result.instructions, result.ticks, dict(result.calls), dict(result.exits))


def drive(realm: Realm, machine: Machine, chance: random.Random) -> None:
    """Run, step, hook, look and go back, at random, until the Realm has come to its end."""
    saved = [machine.snapshot()]
    hooks = [realm.hook(0x8000_0000 + 4 * chance.randrange(0x1000), lambda cpu: None) for _ in range(5)]
    left = 60
    while not realm.ended:
        left -= 1
        action = chance.choice(["run", "run", "step", "hook", "break", "save", "restore", "look"])
        if left < 0:
            realm.run()
        elif action == "run":
            realm.run(max_insns=chance.choice([1, 10, 1_000, 20_000]))
        elif action == "step":
            with contextlib.suppress(MachineError):  # of a step in which the Realm ends
                realm.step(chance.randrange(1, 5))
        elif action == "hook":
            hooks.pop(chance.randrange(len(hooks))).remove()
            hooks.append(realm.hook(0x8000_0000 + 4 * chance.randrange(0x1000), lambda cpu: cpu.regs.x0))
        elif action == "break":
            with realm.break_on(0x8000_0000 + 4 * chance.randrange(0x1000)):
                realm.run(max_insns=5_000)
        elif action == "save":
            saved.append(machine.snapshot())
        elif action == "restore":
            machine.restore(chance.choice(saved))
        else:
            assert repr(realm.rtt) and repr(realm) and repr(realm.rec) and repr(realm.vcpus[-1].regs)


def drive_ns(machine: NsMachine, chance: random.Random, steps: bool) -> tuple[int, int, bytes]:
    """The same for Non-secure images: instructions, ticks and console of the run."""
    saved = [(machine.snapshot(), b"")]
    console, left, ended = b"", 40, False
    base = 0x8800_0000
    hooks = [machine.hook(base + 4 * chance.randrange(0x800), lambda cpu: None) for _ in range(5)]
    while not ended:
        left -= 1
        action = chance.choice(["run", "run", "step", "hook", "break", "save", "restore", "look"])
        limit = None if left < 0 else chance.choice([1, 10, 1_000, 100_000])
        if action in ("run", "break") or left < 0:
            place = base + 4 * chance.randrange(0x800)
            with machine.break_on(place) if action == "break" else contextlib.nullcontext():
                result = machine.run(max_insns=limit)
            console += result.console
            ended = result.reason is Reason.SYSTEM_OFF
        elif action == "step" and steps:
            before = len(machine.uarts["uart0"].output)
            machine.step(chance.randrange(1, 5))
            console += bytes(machine.uarts["uart0"].output[before:])
            ended = machine.platform.stopped is not None
        elif action == "hook":
            hooks.pop(chance.randrange(len(hooks))).remove()
            hooks.append(machine.hook(base + 4 * chance.randrange(0x800), lambda cpu: cpu.regs.sp))
        elif action == "save":
            saved.append((machine.snapshot(), console))
        elif action == "restore":
            moment, console = chance.choice(saved)
            machine.restore(moment)
        else:
            assert repr(machine) and repr(machine.regs)
    return machine.platform.clock.retired, machine.platform.clock.now, console


class TestDriven:
    """Runs in parts, single steps, hooks, breakpoints, views, snapshots and restores leave no mark."""

    @pytest.mark.parametrize(("payload", "vcpus"), _PAYLOADS)
    def test_same_story(self, payload: str, vcpus: int) -> None:
        """The story of a Realm that is driven at random is that of one that runs in one go."""
        with Machine() as machine:
            start = machine.snapshot()
            with machine.realm(payload, vcpus=vcpus) as realm:
                realm.run()
                plain = ended(realm)
            for seed in range(6):
                machine.restore(start)
                with machine.realm(payload, vcpus=vcpus) as realm:
                    drive(realm, machine, random.Random(f"{payload} {seed}"))
                    assert ended(realm) == plain, f"seed {seed}"

    @pytest.mark.parametrize(
        ("image", "steps", "options"),
        [("ns_gpf", True, {}), ("rmi", True, {}), ("secure_call", False, {"secure": "secure"})],
    )
    def test_ns(self, image: str, steps: bool, options: dict[str, Any]) -> None:
        """The same for images on one PE, and on several, where a step would be a turn that nobody else gives."""
        with NsMachine(image, **options) as machine:
            start = machine.snapshot()
            result = machine.run()
            plain = machine.platform.clock.retired, machine.platform.clock.now, result.console
            for seed in range(4):
                machine.restore(start)
                assert drive_ns(machine, random.Random(f"{image} {seed}"), steps) == plain, f"seed {seed}"
