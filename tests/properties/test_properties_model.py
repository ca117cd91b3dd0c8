"""The model of the RMM is a second reading: it has the book's rows and vectors, and nothing of the project."""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import rmm_model
from rmm_coverage import ELSEWHERE
from rmm_model import COMMANDS, measurement
from rmm_model.entries import NS, Entry, Hipas, Ripas, TooLarge, common, encode, span, unfold
from rmm_model.rules import names

VECTORS = Path(__file__).parents[1] / "rmm" / "vectors"
BOOK: dict[str, Any] = json.loads((VECTORS / "rmm10.json").read_text())["commands"]
RIM: dict[str, Any] = json.loads((VECTORS / "rim.json").read_text())
NOT_OURS = {"REC_ENTER": {"rec_sea"}}
"""A condition that DEN0137 does not have."""
HOMOGENEOUS = [
    Entry(Hipas.UNASSIGNED, Ripas.RAM),
    Entry(Hipas.UNASSIGNED, Ripas.DESTROYED),
    NS,
    Entry(Hipas.ASSIGNED, Ripas.RAM, 1 << 39),
    Entry(Hipas.ASSIGNED, Ripas.EMPTY, 1 << 39),
    Entry(Hipas.ASSIGNED_NS, pa=1 << 39, attributes=0x58),
]


class TestRows:
    """The tables of conditions."""

    def test_all(self) -> None:
        """Every command of the book, under its number and with its arguments."""
        assert {name: (row["fid"], tuple(row["inputs"])) for name, row in BOOK.items()} == {
            name: (command.fid, command.ins) for name, command in COMMANDS.items()
        }

    @pytest.mark.parametrize("name", COMMANDS)
    def test_conditions(self, name: str) -> None:
        """The book's conditions in its order."""
        book = dict.fromkeys(id for id, _ in BOOK[name]["failures"] if id not in NOT_OURS.get(name, ()))
        assert [rule.id for rule in COMMANDS[name].rules] == list(book)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_order(self, name: str) -> None:
        """What comes before a condition stands before it, so that the book's order is one of those allowed."""
        ids = [rule.id for rule in COMMANDS[name].rules]
        for at, rule in enumerate(COMMANDS[name].rules):
            for pattern in rule.after.split():
                named = [other for other, id in enumerate(ids) if names(pattern, id)]
                assert named, f"{rule.id} comes after {pattern}, which is none"
                assert pattern.endswith("*") or max(named) < at

    def test_elsewhere(self) -> None:
        """What random calls cannot meet are conditions that there are."""
        assert all(condition in {rule.id for rule in COMMANDS[name].rules} for name, condition in ELSEWHERE)


class TestIndependence:
    """Two readings that share a module share its errors."""

    def test_imports(self) -> None:
        """The model imports the standard library, itself, and ciphers, whose errors are nobody's here."""
        folder, known = Path(rmm_model.__file__).parent, sys.stdlib_module_names | {"rmm_model", "cryptography"}
        for path in folder.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                for name in names:
                    assert name.split(".")[0] in known, f"{path.name} imports {name}"


class TestFold:
    """A table is homogeneous or not; only then it matters whether there are blocks of that size."""

    @pytest.mark.parametrize("level", [1, 2, 3])
    @pytest.mark.parametrize("entry", HOMOGENEOUS)
    def test_whole(self, entry: Entry, level: int) -> None:
        """What unfolds folds again, but for memory at level 1, which no entry above could map."""
        assert common(unfold(entry, level), level) == (TooLarge(entry) if entry.mapped and level == 1 else entry)

    @pytest.mark.parametrize("level", [1, 2, 3])
    @pytest.mark.parametrize("at", [0, 1, 511])
    def test_broken(self, at: int, level: int) -> None:
        """One entry that does not fit, in whatever way, and the table is not homogeneous, also at level 1."""
        for entry in HOMOGENEOUS:
            others = [Entry(Hipas.TABLE, pa=0x1000), Entry(Hipas.UNASSIGNED), *HOMOGENEOUS[2:]]
            others += [Entry(entry.hipas, entry.ripas, entry.pa + span(level) * 1024, entry.attributes)]
            for other in others:
                table = unfold(entry, level)
                if table[at] != other:
                    table[at] = other
                    assert common(table, level) is None

    def test_address(self) -> None:
        """Contiguous memory that starts where no block can is not homogeneous."""
        assert common(unfold(Entry(Hipas.ASSIGNED, Ripas.RAM, 0x1000), 3), 3) is None

    def test_descriptors(self) -> None:
        """No two different entries of a level look the same in memory."""
        entries = [Entry(hipas, ripas) for hipas in (Hipas.UNASSIGNED, Hipas.ASSIGNED) for ripas in Ripas]
        entries += [NS, Entry(Hipas.ASSIGNED_NS, attributes=0x58)]
        assert len({encode(entry, 3) for entry in entries}) == len(entries)


def word(value: int | str) -> int:
    """A number of the vectors."""
    return int(value, 0) if isinstance(value, str) else value


class TestMeasurement:
    """The model's measurements are the vectors'."""

    @pytest.mark.parametrize("case", [case for case in RIM["cases"] if "params" in case], ids=lambda case: case["name"])
    def test_rim(self, case: dict[str, Any]) -> None:
        """The RIM after each command."""
        params = dict(case["params"])
        algo = params["algo"] = params.pop("hash_algo")
        rim = b""
        for step in case["steps"]:
            if step["op"] == "REALM_CREATE":
                rim = measurement.rim_initial(**params)
            elif step["op"] == "DATA_CREATE":
                page = bytes(at & 0xFF for at in range(4096))
                rim = measurement.rim_after_data(algo, rim, word(step["ipa"]), step["flags"], page)
            elif step["op"] == "REC_CREATE":
                gprs = tuple(map(word, step["gprs"]))
                rim = measurement.rim_after_rec(algo, rim, step["flags"], word(step["pc"]), gprs)
            else:
                assert step["op"] == "RTT_INIT_RIPAS entry"
                rim = measurement.rim_after_ripas(algo, rim, word(step["base"]), word(step["top"]))
            assert rim[: measurement.hash_size(algo)].hex() == step["rim"]

    @pytest.mark.parametrize("case", [case for case in RIM["cases"] if "start" in case], ids=lambda case: case["hash"])
    def test_rem(self, case: dict[str, Any]) -> None:
        """The REM after each extension."""
        algo = {"sha256": 0, "sha512": 1}[case["hash"]]
        rem = bytes(64)
        for step in case["steps"]:
            rem = measurement.extended(algo, rem, bytes.fromhex(step["value"]))
            assert rem[: measurement.hash_size(algo)].hex() == step["rem"]
