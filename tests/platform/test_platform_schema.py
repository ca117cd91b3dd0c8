"""Files that people write, against their schema: which field is wrong, what it must be, and what it is instead."""

import copy
import re
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from cca_platform import board as boards
from cca_platform.board import Board
from cca_platform.boardfile import TABLES, BoardFile, UidTable
from cca_platform.devices.keys import Keys
from cca_platform.devices.kinds import KEYS, Kinds
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine
from cca_platform.schema import Name, SchemaError, fields, fit, parse_json, parse_toml

DEEP = 50_000
FVP = Path(boards.__file__).parent / "boards" / "fvp.toml"
WHOLE = tomllib.loads(FVP.read_text(encoding="utf-8"))
CASES = Path(__file__).parents[1] / "cases"


class Row(Struct, forbid_unknown_fields=True):
    """A row."""

    name: Name
    size: Annotated[int, Meta(ge=1, le=100)] = 1
    pas: Literal["root", "realm"] | list[Literal["root", "realm"]] = "root"


class Sheet(Struct, forbid_unknown_fields=True):
    """A file."""

    row: list[Row]
    texts: dict[str, str | list[str]] = {}
    rows: dict[str, Row] = {}
    on: bool = False

    def __post_init__(self) -> None:
        if len(self.row) == 9:
            raise ValueError("nine rows are too many")


GOOD: dict[str, Any] = {"row": [{"name": "a"}, {"name": "b"}]}


class TestMessages:
    """The path of the field, what it must be, and what it is."""

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"row": [{"name": "a", "size": "x"}]}, r"row\[0].size: must be a whole number from 1 to 100, not 'x'"),
            ({"row": [GOOD["row"][0], {"name": "b", "size": 0}]}, r"row\[1].size: must be a whole .* to 100, not 0"),
            ({"row": [{"name": "a", "size": 10**20}]}, r"row\[0].size: must be .*, not 0x56bc75e2d63100000"),
            ({"row": [{"name": "a", "size": 1 << 99_999}]}, r"row\[0].size: must be .*, not 0x80000.*[.]{3}"),
            ({"row": [{"name": "a", "size": True}]}, r"row\[0].size: must be .*, not true"),
            ({"row": [{"name": "a", "size": 1.0}]}, r"row\[0].size: must be .*, not 1.0"),
            ({"row": [{"name": ""}]}, r"row\[0].name: must be text of 1 to 100 characters, not ''"),
            ({"row": [{"name": "n" * 101}]}, r"row\[0].name: must be .*, not 'nnnn.*[.]{3}"),
            ({"row": [{"name": None}]}, r"row\[0].name: must be .*, not null"),
            ({"row": [{"name": "a", "pas": "rot"}]}, r"row\[0].pas: must be one of realm, root, not 'rot'"),
            ({"row": [{"name": "a", "pas": 5}]}, r"row\[0].pas: must be one of realm, root or a .*, not 5"),
            ({"row": [{"name": "a", "pas": ["root", []]}]}, r"row\[0].pas\[1]: must be one of .* not an empty list"),
            ({"row": [{}]}, r"row\[0] must have the key 'name': text of 1 to 100 characters"),
            ({}, "the sheet must have the key 'row': any number of tables in double brackets"),
            ({"row": {"name": "a"}}, r"row: must be any number of tables in double brackets, not a table"),
            ({"row": [5]}, r"row\[0]: must be a table, not 5"),
            ({"row": [{"name": "a", "sise": 5}]}, r"row\[0].sise: no such key; did you mean size[?]"),
            ({**GOOD, "zzz": 5}, "zzz: no such key; the keys are row, texts, rows, on"),
            ({**GOOD, "on": 1}, "on: must be true or false, not 1"),
            ({**GOOD, "texts": {"a": "b", "c": 3}}, r"texts.c: must be text or a list of text, not 3"),
            ({**GOOD, "texts": {"a": ["b", 3]}}, r"texts.a\[1]: must be text, not 3"),
            ({**GOOD, "rows": {"a": {"name": "x"}, "b": {"name": 5}}}, r"rows.b.name: must be text .*, not 5"),
            ({**GOOD, "rows": {"a": {"name": "x"}, "b": 5}}, r"rows.b: must be a table, not 5"),
            ({**GOOD, "rows": {"a": {}}}, r"rows.a must have the key 'name': text .*"),
            ({**GOOD, "texts": []}, "texts: must be a table from names to text or a list of text, not an empty list"),
            ({"row": [{"name": "a"}] * 9}, "nine rows are too many"),
            ([], "the sheet must be a table, not an empty list"),
            ("x", "the sheet must be a table, not 'x'"),
        ],
    )
    def test_said(self, data: Any, message: str) -> None:
        """One line, however long the value is."""
        with pytest.raises(SchemaError) as refused:
            fit(data, Sheet, "the sheet")
        text = str(refused.value)
        assert "\n" not in text and len(text) < 300
        assert re.fullmatch(message, text), text

    @pytest.mark.parametrize("where", ["", "row[0]", "rows"])
    @pytest.mark.parametrize(
        "key",
        ["x` - at `$.row", "x` - at `$.on", "x` - at `$.row[7].zz", "` - at `key` in `$.texts", "a\nb", "k" * 10**6],
    )
    def test_misleading_keys(self, key: str, where: str) -> None:
        """A key may look like a part of a message."""
        table = {"name": "a", key: 5}
        data = {"": {**GOOD, key: 5}, "row[0]": {"row": [table]}, "rows": {**GOOD, "rows": {key: {"name": 5}}}}[where]
        start = time.process_time()
        with pytest.raises(SchemaError) as refused:
            fit(data, Sheet, "the sheet")
        assert len(str(refused.value)) < 300 and time.process_time() - start < 2

    def test_rows_before(self) -> None:
        """Rows of another file do not count."""
        with pytest.raises(SchemaError, match=r"^row\[0\]\.size: "):
            fit({"row": [{"name": "a"}, {"name": "b", "size": 0}]}, Sheet, "it", {"row": 1})

    def test_fields(self) -> None:
        """The reference says the same."""
        assert list(fields(Row))[1] == ("size", "a whole number from 1 to 100", "1", "")


DEEP_TOML = {
    "arrays": "a = " + "[" * DEEP,
    "whole arrays": "a = " + "[" * DEEP + "]" * DEEP,
    "tables": "a = " + "{a=" * DEEP,
    "keys": ".".join("a" * DEEP) + " = 1",
    "quoted keys": ".".join(['"a"'] * DEEP) + " = 1",
    "spaced keys": " . ".join("a" * DEEP) + " = 1",
    "headers": "[" + ".".join("a" * DEEP) + "]",
    "array headers": "[[" + ".".join("a" * DEEP) + "]]",
    "inner keys": "a = {" + ".".join("a" * DEEP) + " = 1}",
}


class TestText:
    """TOML and JSON of strangers."""

    @pytest.mark.parametrize("case", DEEP_TOML)
    def test_deep_toml(self, case: str) -> None:
        """However it is nested, it is refused in no time."""
        start = time.process_time()
        with pytest.raises(SchemaError):
            parse_toml(DEEP_TOML[case])
        assert time.process_time() - start < 2

    @pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP])
    def test_deep_json(self, text: str) -> None:
        """The same for JSON."""
        with pytest.raises(SchemaError, match="must nest a few levels, not so many"):
            parse_json(text)

    @pytest.mark.parametrize("parse", [parse_toml, parse_json])
    def test_long_number(self, parse: Any) -> None:
        """A number of thousands of digits is told in our own words."""
        with pytest.raises(SchemaError, match=r"must be \w+: a number has thousands of digits$"):
            parse({parse_toml: "a = ", parse_json: ""}[parse] + "9" * 5_000)

    @pytest.mark.parametrize("text", ["x" * 1_000_000, '"' * 1_000_001, "'a' " * 200_000, "a." * 20 + "b = 1\n"])
    def test_long_words(self, text: str) -> None:
        """To look for deep keys takes no time either."""
        start = time.process_time()
        with suppress(SchemaError):
            parse_toml(text)
        assert time.process_time() - start < 2

    def test_text_is_no_key(self) -> None:
        """Text may have dots."""
        assert parse_toml('why = "one. two. three. 1.2.3.4.5"') == {"why": "one. two. three. 1.2.3.4.5"}

    def test_twice(self) -> None:
        """A key that is given twice: which one counts is anybody's guess."""
        with pytest.raises(SchemaError, match="must have each key once, not 'a' again"):
            parse_json('{"b": 1, "a": [{"a": 1, "a": 2}]}')
        many = ", ".join(f'"{number}": 1' for number in range(100_000))
        with pytest.raises(SchemaError, match="not '99999' again"):
            parse_json(f'{{{many}, "99999": 1}}')
        with pytest.raises(SchemaError, match="must be TOML: "):
            parse_toml("a = 1\na = 2")


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """(table or list, key or index) of everything in a file."""
    for key in list(data) if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], dict | list):
            yield from places(data[key])


NUMBERS = [True, -1, 0, 1, 5, 1 << 20, 1 << 40, 10**20, 1 << 99_999, 1.5]
VALUES = [None, *NUMBERS, "", "x", "x" * 10_000, [], [1], {}, {"a": 1}]


def row(name: str, size: int, key: str = "device", base: int = 0x1100_0000) -> str:
    """A row of a board."""
    kind = "kind = 'ram'" if key == "device" else "pas = 'root'"
    return f"[[{key}]]\nname = '{name}'\n{kind}\nbase = {base:#x}\nsize = {size}"


class TestBoards:
    """Boards of strangers."""

    def test_tables(self) -> None:
        """The reference has every table, and a meaning of every key that is no table."""
        names = {key.strip("[]") for key in TABLES}
        assert names == {name for name, kind, *_ in fields(BoardFile) if "table" in kind}
        for table in (*TABLES.values(), BoardFile):
            for name, kind, _, meaning in fields(table):
                assert kind and (meaning or table is UidTable), name

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("board-0", "device[13].kind: must be text of 1 to 100 characters, not a list"),
            ("board-1", "region[2].name: must be text of 1 to 100 characters, not true"),
            ("board-2", "device[38].kind: must be text of 1 to 100 characters, not a table"),
        ],
    )
    def test_witnesses(self, name: str, message: str) -> None:
        """Files with a value of another type name its place."""
        with pytest.raises(MachineError) as refused:
            Board.load(CASES / f"{name}.toml")
        assert str(refused.value).endswith(f"{name}.toml: {message}")

    def test_every_value(self) -> None:
        """Whatever stands in the place of anything in a board: a board, or one line of a sentence."""
        whole = {**WHOLE, "device": WHOLE["device"][:1], "dram": WHOLE["dram"][:1]}
        whole["nonvolatile"] = [{"base": 0x8F00_0000, "size": 0x1000}]
        whole["smccc"] = {"uid": {"arch": "00112233-4455-6677-8899-aabbccddeeff"}}
        for number, _ in enumerate(places(copy.deepcopy(whole))):
            for value in VALUES:
                data = copy.deepcopy(whole)
                table, key = list(places(data))[number]
                table[key] = value
                try:
                    Board.parse(data, "test")
                except ValueError as error:
                    assert "\n" not in str(error) and 10 < len(str(error)) < 700, error

    def test_every_key(self) -> None:
        """Without any of its keys: a board, or one line that names the key."""
        whole = copy.deepcopy({**WHOLE, "device": WHOLE["device"][:2]})
        del whole["boot"]["rmm_console"]
        for number, _ in enumerate(places(copy.deepcopy(whole))):
            data = copy.deepcopy(whole)
            table, key = list(places(data))[number]
            if isinstance(table, dict):
                del table[key]
                with suppress(ValueError):
                    Board.parse(data, "test")
                    continue
                with pytest.raises(SchemaError, match=f"must have the key {key!r}: "):
                    Board.parse(data, "test")

    @pytest.mark.parametrize("kind", Kinds().names)
    def test_keys_of_kinds(self, kind: str) -> None:
        """Whatever the keys of a device have: a machine, or one line that names the device."""
        others = [row for row in WHOLE["device"] if row["kind"] in ("smmuv3", "sp810", "generic-timer", "pl011")]
        table = {"name": "mine", "kind": kind, "base": 0x1100_0000, "size": 0x2_0000}
        keys = [name for name, *_ in fields(KEYS.get(kind, Keys))]
        for key, value in product([*keys, "zzz"], [True, -1, 0, 7, 10**20, 1.5, "uart0", "smmu", [], {"a": 1}]):
            data = {**WHOLE, "device": [*others, {**table, key: value}]}
            try:
                Machine(Board.parse(data, "test")).close()
            except (ValueError, MachineError) as error:
                text = str(error)
                assert "\n" not in text and ("mine" in text or "device[" in text or "earlier" in text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (row("a", -1), r"device\[0\]\.size: must be .* from 0"),
            ("[pe]\ncounterhz = 1", r"pe\.counterhz: no such key; did you mean counter_hz\?"),
            ("[[devices]]\nname = 'a'", r"devices: no such key; did you mean device\?"),
            ("like = 'fvpp'", "like: must be one of fvp, virt, not 'fvpp'"),
            (row("x", 0x1000, "region", 0xFC00_0000), "regions secure and x must not overlap"),
            (row("root", 0x1000, "region", 0x8000_0000), "a name of its own, not 'root' twice"),
            (row("x", 0x1001, "region", 0x8000_0000), "must be whole 4 KiB granules"),
            (row("rtc", 4096), "a name of its own, not 'rtc' twice"),
            (row("x", 4096, base=1 << 48), "x must end inside 48 bits of address"),
            ("[[dram]]\nbase = 0x1000000000\nsize = 0x8000000000", "DRAM must have at most 256 GiB in all"),
            ("pe = []", "pe: must be a table, not an empty list"),
            ("device = 5", "device: must be any number of tables in double brackets, not 5"),
            ("[dram]\nbase = 1", "dram: must be 1 to 4 tables in double brackets, not a table"),
        ],
    )
    def test_like(self, text: str, message: str, tmp_path: Path) -> None:
        """Paths of a file that is like another are those of the file."""
        path = tmp_path / "mine.toml"
        path.write_text(text if text.startswith("like") else f'like = "fvp"\n{text}\n')
        with pytest.raises(MachineError, match=message):
            Board.load(path)

    @given(st.text(alphabet="[]{}=.,'\"\n #a1-", max_size=40))
    def test_any_text(self, text: str) -> None:
        """Whatever the text is: TOML or one line."""
        with suppress(SchemaError):
            parse_toml(text)
