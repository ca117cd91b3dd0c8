"""Options are declared once: API, command line and host agree, and messages speak of what the user gave."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from typer.main import get_command

import realmlab
from cca_host.kvmtool.options import DiskOption, ShareOption
from cca_host.kvmtool.options import RunOptions as HostOptions
from cca_tools.cli import main
from cca_tools.cli.commands import app
from cca_tools.cli.run import OUTPUT
from realmlab import bundled, options
from realmlab.options import (
    BOARD,
    MachineOptions,
    NsMachineOptions,
    NsRunOptions,
    RealmJobOptions,
    RealmOptions,
    RealmRunOptions,
    declared,
    read,
    spelled,
)

API: list[tuple[Callable[..., Any], tuple[type, ...], set[str]]] = [
    (realmlab.Machine.__init__, (MachineOptions,), {"self", "board"}),
    (realmlab.Machine.run_realm, (RealmJobOptions,), {"self", "payload"}),
    (realmlab.Machine.realm, (RealmOptions,), {"self", "payload"}),
    (realmlab.Realm.run, (RealmRunOptions,), {"self"}),
    (realmlab.NsMachine.__init__, (NsMachineOptions,), {"self", "images", "board"}),
    (realmlab.NsMachine.run, (NsRunOptions,), {"self"}),
]
"""Each function of the API that takes options: its tables, and its parameters that are no options."""
DECLARED = {"board": BOARD} | {
    name: one for _, tables, _ in API for table in tables for name, one in declared(table).items()
}


def command_line() -> dict[str, Any]:
    """The options of ``realmlab run`` by parameter, from the command itself."""
    run = get_command(app).commands["run"]  # type: ignore[attr-defined] # a group
    return {one.name: one for one in run.params if one.param_type_name == "option"}


class TestOnce:
    """The command line and the API are made from the same declaration."""

    @pytest.mark.parametrize(("function", "tables", "own"), API, ids=[one[0].__qualname__ for one in API])
    def test_api(self, function: Callable[..., Any], tables: tuple[type, ...], own: set[str]) -> None:
        """A function of the API has the parameters of its tables, with their defaults, and tells them."""
        wanted = {name: one.default for table in tables for name, one in declared(table).items()}
        parameters = inspect.signature(function).parameters
        assert {name: one.default for name, one in parameters.items() if name not in own} == wanted
        assert all(
            f"``{name}``: {one.help}" in (function.__doc__ or "") for t in tables for name, one in declared(t).items()
        )

    def test_command_line(self) -> None:
        """Every option of the command line exists in the API, and the other way round."""
        offered = {name for name, one in DECLARED.items() if not (one.python_only or one.positional)}
        constants = {flag[2:].replace("-", "_") for one in DECLARED.values() for flag in one.constants or {}}
        assert set(command_line()) == offered | constants | {*OUTPUT, "uart"}

    def test_spelling(self) -> None:
        """The command line spells an option as it is declared, with its default."""
        known = command_line()
        for name, one in DECLARED.items():
            if one.python_only or one.positional:
                assert name not in known
                continue
            assert known[name].opts == [one.spelling(name), *one.flags[1:]]
            assert known[name].help == one.help
            if isinstance(one.default, str | int):
                assert known[name].default == one.default

    def test_one_side(self) -> None:
        """What only one side has is about what comes in and out, and says why."""
        only = {name for name, one in DECLARED.items() if one.python_only}
        assert only == {"devices", "keyboard", "on_console", "on_output"}
        assert {*OUTPUT, "uart"} == {"world", "as_json", "quiet", "uart", "console_escape"}

    def test_host(self) -> None:
        """The host takes what a Realm takes, with the same defaults."""
        fields = {one.name: one.default for one in structs.fields(HostOptions) if one.name != "payload"}
        assert fields == read(RealmOptions, {})

    def test_tables(self) -> None:
        """Every option explains itself, and has a value to offer."""
        for name, one in DECLARED.items():
            assert one.help.endswith((".", "...")), name
            assert one.metavar or one.choices or one.python_only or one.kind is bool, name


class TestRead:
    """What is given is checked; what is not given has its default."""

    @pytest.mark.parametrize(
        ("table", "given", "message"),
        [
            (NsRunOptions, {"max_insns": 0}, "`max_insns` must be 1 or more, not 0"),
            (NsRunOptions, {"max_insns": "many"}, "`max_insns` must be a whole number, not 'many'"),
            (NsRunOptions, {"max_insns": True}, "`max_insns` must be a whole number, not True"),
            (NsRunOptions, {"expect": "0 failed"}, "`expect` must be a list, not '0 failed'"),
            (NsRunOptions, {"until": ""}, "`until` must be a text to wait for"),
            (RealmOptions, {"args": "console=hvc0"}, "`args` must be a list"),
            (RealmOptions, {"rpv": "0x"}, "`rpv` must be hex digits"),
            (RealmOptions, {"console_input": Path("none.txt")}, "`console_input` none.txt does not exist: check"),
            (NsMachineOptions, {"el": 3}, "`el` must be 1 or 2, not 3"),
            (RealmOptions, {"disks": ["disk,rw"]}, "`disks` must be FILE, then nothing, ,ro or ,snapshot or ,overlay="),
            (RealmOptions, {"disks": [7]}, "`disks` must be disks: FILE"),
            (RealmOptions, {"rng": 1}, "`rng` must be True or False, not 1"),
            (RealmOptions, {"network": "tap"}, "`network` must be none or user, with options after a comma, not 'tap'"),
            (RealmOptions, {"network": None}, "`network` must be none, or user with its options, not None"),
            (RealmOptions, {"shares": [7]}, "`shares` must be folders: DIR"),
            (RealmOptions, {"shares": ["d:"]}, "a tag of `shares` must have 1 to 36 bytes"),
            (RealmOptions, {"shares_9p": ["dir"]}, "`shares_9p` must be DIR,TAG, not 'dir': give the name by which"),
            (RealmOptions, {"shares_9p": [7]}, "`shares_9p` must be folders: DIR,TAG, not 7"),
            (RealmOptions, {"transport": "isa"}, "`transport` must be pci or mmio, not 'isa'"),
            (MachineOptions, {"clock": 7}, "`clock` must be virtual or host, not 7"),
        ],
    )  # fmt: skip
    def test_refused(self, table: type, given: dict[str, Any], message: str) -> None:
        """A value that cannot be is a MachineError that names the parameter."""
        with pytest.raises(realmlab.MachineError, match=f"^{message}"):
            read(table, given)

    def test_unknown(self) -> None:
        """A parameter that does not exist is a TypeError, as for any call, with a guess."""
        with pytest.raises(TypeError, match="not 'vcpu'; did you mean 'vcpus'"):
            read(RealmOptions, {"vcpu": 2})

    @pytest.mark.parametrize(
        ("table", "given", "value"),
        [
            (RealmOptions, {"rpv": "00ff"}, b"\x00\xff"),
            (RealmOptions, {"rpv": b"RPV"}, b"RPV"),
            (RealmOptions, {"memory": "1G"}, 1 << 30),
            (RealmOptions, {"memory": 1 << 30}, 1 << 30),
            (RealmOptions, {"deny_cpu_on": [2, 1]}, (2, 1)),
            (RealmOptions, {"rtc": "2026-07-01T12:00"}, 1_782_907_200),
            (RealmOptions, {"rtc": "2026-07-01T14:00+02:00"}, 1_782_907_200),
            (RealmOptions, {"rtc": 1_782_907_200}, 1_782_907_200),
            (RealmOptions, {"rtc": "host"}, "host"),
            (RealmOptions, {"disks": "disk"}, (DiskOption(path="disk"),)),
            (RealmOptions, {"disks": [Path("a,b"), "c"]}, (DiskOption(path="a,b"), DiskOption(path="c"))),
            (RealmOptions, {"disks": ["c,ro"]}, (DiskOption(path="c", read_only=True),)),
            (
                RealmOptions,
                {"disks": ["d,snapshot", "e,overlay=f,g"]},
                (DiskOption(path="d", snapshot=True), DiskOption(path="e", overlay="f,g")),
            ),
            (RealmOptions, {"network": "user,restrict=on"}, "user,restrict=on"),
            (RealmOptions, {"shares": "dir"}, (ShareOption(path="dir"),)),
            (RealmOptions, {"shares": [Path("a:b"), "c:d/e"]}, (ShareOption(path="a:b"), ShareOption(path="c:d/e"))),
            (RealmOptions, {"shares": ["a:tag,ro"]}, (ShareOption(path="a", tag="tag", read_only=True),)),
            (RealmOptions, {"vsock": Path("sock")}, Path("sock")),
            (RealmOptions, {"shares_9p": "a,tag"}, (ShareOption(path="a", tag="tag"),)),
            (NsMachineOptions, {"entry": "0x88000000"}, 0x8800_0000),
            (NsMachineOptions, {"nonvolatile": ["0x90000000:4K", (5, 6)]}, [(0x9000_0000, 4096, None), (5, 6, None)]),
        ],
    )
    def test_forms(self, table: type, given: dict[str, Any], value: object) -> None:
        """Python values and the texts that people write are the same."""
        (name,) = given
        assert read(table, given)[name] == value

    def test_file(self, tmp_path: Path) -> None:
        """Console input is bytes, or a file of them."""
        path = tmp_path / "input.txt"
        path.write_bytes(b"typed")
        assert read(RealmOptions, {"console_input": path})["console_input"] == b"typed"


class TestMessages:
    """The API speaks of parameters, the command line of options."""

    def test_spelled(self) -> None:
        """A parameter becomes its option; what is none stays."""
        assert spelled("give `max_insns`, `memory` and `on_output` to `guest`") == (
            "give --max-insns, --memory and on_output to `guest`"
        )

    @pytest.mark.parametrize("module", ["cca_host", "cca_platform", "cca_firmware", "cca_rmm", "realmlab"])
    def test_no_options_in_the_api(self, module: str) -> None:
        """No message of what the API stands on speaks of an option of the command line."""
        folder = Path(inspect.getfile(__import__(module))).parent
        flags = {one.spelling(name) for name, one in DECLARED.items() if not (one.python_only or one.positional)}
        for path in folder.rglob("*.py"):
            text = path.read_text()
            found = [flag for flag in flags | {"--no-reset"} if f" {flag} " in text or f' {flag}"' in text]
            tables = [Path(table.__file__) for table in (options, bundled)]  # what the command line is made from
            assert not found or path in tables, f"{path}: {found}"


class TestArrives:
    """What the command line is given reaches the Realm."""

    def test_width(self, capfd: pytest.CaptureFixture[str]) -> None:
        """--ipa-width is what the Realm reads in its configuration."""
        assert main(["run", "hello", "--ipa-width", "36", "-q"]) == 0
        assert "IPA width 36 bits" in capfd.readouterr().out

    def test_rpv(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """--rpv is in the Realm's token."""
        assert main(["run", "attest", "--rpv", "00ff", "-q"]) == 0
        token = tmp_path / "token.txt"
        token.write_text(capfd.readouterr().out)
        assert main(["attest", "show", str(token), "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["realm"]["rpv"].startswith("00ff00")

    def test_deny(self, capfd: pytest.CaptureFixture[str]) -> None:
        """--deny-cpu-on names vCPUs of the Realm."""
        assert main(["run", "hello", "--vcpus", "2", "--deny-cpu-on", "1", "--deny-cpu-on", "2"]) == 2
        assert "--deny-cpu-on must name vCPUs 0 to 1, not 2" in capfd.readouterr().err
