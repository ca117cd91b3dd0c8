"""Beginners' mistakes on the command line and with the Python API."""

from mistakes import Mistake, Use, command

import realmlab

__all__ = ["TOOLS"]


def _closed() -> str:
    machine = realmlab.Machine()
    machine.close()
    return machine.run_realm("hello").message


def _after_its_end() -> str:
    with realmlab.Machine() as machine, machine.realm("hello", max_insns=10_000_000) as realm:
        realm.run()
        return realm.run().message


def _no_symbol() -> str:
    with realmlab.Machine() as machine, machine.realm("hello") as realm:
        realm.break_on("mian")
    return ""


TOOLS = (
    Mistake(
        "no-such-file",
        "ran the command in another folder",
        command("run", "FOLDER/kernel.elf"),
        (r"kernel\.elf", r"does not exist|no such file|not found"),
    ),
    Mistake(
        "wrong-world",
        "ran a payload for Non-secure EL2 in a Realm",
        command("run", "rmi"),
        (r"--world ns-el2|Non-secure EL2|NS-EL2",),
    ),
    Mistake(
        "arguments-without-dashes",
        "gave the payload an argument that looks like an option, without --",
        command("run", "hello", "--verbose"),
        (r"--verbose", r"(after|behind|follow\w*|separated? by) --(\s|,|$)"),
    ),
    Mistake(
        "size-without-unit",
        "took --memory for a number of MiB",
        command("run", "hello", "--memory", "64"),
        (r"memory", r"bytes", r"unit|\b64M\b|\bMi?B?\b|MiB"),
    ),
    Mistake(
        "trace-into-nowhere",
        "wrote the trace into a folder that does not exist",
        command("run", "hello", "--trace", "FOLDER/traces/run.jsonl"),
        (r"run\.jsonl|traces", r"no such|does not exist|folder|directory"),
    ),
    Mistake(
        "board-mistyped",
        "mistyped the name of the board",
        command("run", "hello", "--board", "fpv"),
        (r"fpv", r"\bfvp\b"),
    ),
    Mistake(
        "option-mistyped",
        "wrote --vcpu for --vcpus",
        command("run", "hello", "--vcpu", "2"),
        (r"--vcpu\b", r"--vcpus\b"),
    ),
    Mistake(
        "console-as-trace",
        "gave trace show what the console printed",
        command("trace", "show", "FOLDER/log.txt", files={"log.txt": b"Hello from Realm EL1\n"}),
        (r"trace|JSON", r"log\.txt|line 1"),
    ),
    Mistake("machine-closed", "used a machine after close()", Use(_closed), (r"closed",)),
    Mistake("run-after-the-end", "ran a Realm again that has ended", Use(_after_its_end), (r"ended|end\b|over|off",)),
    Mistake(
        "symbol-mistyped",
        "set a breakpoint at a function whose name is mistyped",
        Use(_no_symbol),
        (r"mian", r"symbol|main\b|no function|not (found|defined|in)"),
    ),
)
