"""Arguments of wrong types: a TypeError or ValueError in our own words at the border, which is a MachineError, too."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ns_code import OFF, assemble

import realmlab
from cca_platform.errors import MachineError, WrongType, WrongValue
from realmlab import Machine, NsImage, NsMachine
from realmlab.options import BOARD, MachineOptions, NsMachineOptions, NsRunOptions, RealmJobOptions, declared

TABLES = (MachineOptions, RealmJobOptions, NsMachineOptions, NsRunOptions)
OPTIONS = {"board": BOARD} | {name: one for table in TABLES for name, one in declared(table).items()}
ANYTHING = [
    5.5, True, b"\xff", object(), [None], (1, 2, 3), {"a": 1}, "\0", "", -1, float("nan"), [[]], 1 << 200, print,
]  # fmt: skip


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine() as made:
        yield made


class TestOptions:
    """Each option has a check, which takes anything."""

    def test_every_option(self) -> None:
        """None is without."""
        assert [name for name, one in OPTIONS.items() if one.check is None] == []

    @pytest.mark.parametrize("name", OPTIONS)
    def test_anything(self, name: str) -> None:
        """A value is accepted, or refused with the name of the parameter or of what must be written."""
        check = OPTIONS[name].check
        assert check is not None
        for value in ANYTHING:
            try:
                check(name, value)
            except MachineError as error:
                assert " must " in str(error), (name, value)

    @pytest.mark.parametrize(
        ("given", "kind", "message"),
        [
            ({"args": "quiet x"}, WrongType, "`args` must be a list, not 'quiet x'"),
            ({"args": ["\ud800"]}, WrongValue, "`args` must be text that UTF-8 has, not "),
            ({"args": ["a\0b"]}, WrongValue, "`args` must be text without a NUL"),
            ({"args": [1]}, WrongType, "`args` must be a list of texts, not 1"),
            ({"vcpus": "2"}, WrongType, "`vcpus` must be a whole number, not '2'"),
            ({"vcpus": True}, WrongType, "`vcpus` must be a whole number, not True"),
            ({"memory": 64.5}, WrongType, "`memory` must be a whole number, not 64.5"),
            ({"memory": "lots"}, MachineError, "a size must be a number with K, M or G, such as 64M, not 'lots'"),
            ({"rpv": "abc"}, WrongValue, "`rpv` must be hex digits, two for each byte, not 'abc'"),
            ({"rpv": 5}, WrongType, "`rpv` must be bytes or hex digits, not 5"),
            ({"hash_algo": "md5"}, WrongValue, "`hash_algo` must be sha256 or sha512, not 'md5'"),
            ({"ipa_width": 3.5}, WrongType, "`ipa_width` must be a whole number, not 3.5"),
            ({"deny_cpu_on": 1}, WrongType, "`deny_cpu_on` must be a list, not 1"),
            ({"console_input": "text"}, WrongType, "`console_input` must be bytes or a Path, not 'text'"),
            ({"on_console": 5}, WrongType, "`on_console` must be a function, not 5"),
            ({"max_insns": 0}, WrongValue, "`max_insns` must be 1 or more, not 0"),
            ({"timeout": "5"}, WrongType, "`timeout` must be a number of seconds, more than 0, not '5'"),
            ({"timeout": -1}, WrongValue, "`timeout` must be a number of seconds, more than 0, not -1"),
        ],
    )
    def test_realm(self, machine: Machine, given: dict[str, Any], kind: type[Exception], message: str) -> None:
        """The message says what must be, and what it is; nothing is built."""
        calls = machine.host.calls.copy()
        with pytest.raises(kind) as caught:
            machine.run_realm("hello", **given)
        assert message in str(caught.value) and machine.host.calls == calls

    def test_it_is_both(self, machine: Machine) -> None:
        """Who catches TypeError or ValueError, as of any library, gets them."""
        with pytest.raises(TypeError):
            machine.run_realm("hello", vcpus="2")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="hex digits"):
            machine.run_realm("hello", rpv="abc")


class TestArguments:
    """What is no option."""

    @pytest.mark.parametrize("payload", [b"hello", 5, None, ["hello"], object()])
    def test_payload(self, machine: Machine, payload: Any) -> None:
        """A payload is a file."""
        with pytest.raises(WrongType, match="`payload` must be a name or the path of a file, not "):
            machine.run_realm(payload)

    @pytest.mark.parametrize("images", [5, None, b"code", [5], [b"code"], {"a": 1}.items()])
    def test_images(self, images: Any) -> None:
        """So is an image, or it is in memory."""
        with pytest.raises(WrongType, match="`images` must be "):
            NsMachine(images)

    @pytest.mark.parametrize("image", [NsImage("text"), NsImage(b"x", "5")])  # type: ignore[arg-type]
    def test_image_in_memory(self, image: NsImage) -> None:
        """Its bytes are bytes, its address a number."""
        with pytest.raises(WrongType, match="`images` must be "):
            NsMachine(image)

    def test_secure_image_in_memory(self) -> None:
        """A Secure payload may be in memory, too."""
        secure = NsImage(realmlab.find_payload("secure").read_bytes())
        with NsMachine("secure_call", secure=secure) as machine:
            assert machine.run(expect=["0 failed"]).status == 0

    @pytest.mark.parametrize("board", [5, None, b"fvp", ["fvp"]])
    def test_board(self, board: Any) -> None:
        """A board is a name, a file or a Board."""
        with pytest.raises(WrongType, match="`board` must be a name or the path of a file"):
            Machine(board)

    def test_others(self, machine: Machine) -> None:
        """Each function of a session looks at its arguments."""
        wrong: Any = object()
        calls = [
            lambda: machine.read("0x80000000", 4),  # type: ignore[arg-type]
            lambda: machine.read(0x8000_0000, "4"),  # type: ignore[arg-type]
            lambda: machine.read(0x8000_0000, 4, "ns"),  # type: ignore[arg-type]
            lambda: machine.write(0x8000_0000, "text"),  # type: ignore[arg-type]
            lambda: machine.granule(1.5),  # type: ignore[arg-type]
            lambda: machine.on(5, print),  # type: ignore[arg-type]
            lambda: machine.on("rmi.call", wrong),
            lambda: machine.hook(0x8000_0000, wrong),
            lambda: machine.break_on(wrong),
            lambda: machine.restore(wrong),
        ]
        for call in calls:
            with pytest.raises(WrongType, match=" must be ") as caught:
                call()
            assert "realmlab" in traceback.extract_tb(caught.value.__traceback__)[-1].filename

    def test_path(self, tmp_path: Path) -> None:
        """Paths of both forms work everywhere."""
        path = tmp_path / "off"
        path.write_bytes(assemble(OFF))
        for image in (path, str(path), [path], (str(path),)):
            with NsMachine(image, trace=tmp_path / "t.jsonl") as machine:  # type: ignore[arg-type]
                assert machine.run().status == 0
