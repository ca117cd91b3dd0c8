"""The committed reference is what the tables say."""

import re
from dataclasses import replace
from enum import IntEnum
from pathlib import Path

import pytest

from cca_arch.rmi.v1_0 import Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_rmm.base.command import Check
from cca_rmm.versions.v1_0 import V1_0
from cca_tools.reference import PAGES, PSCI_CALLS, ManualError, manual, rmi

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


class TestReference:
    """`make docs` writes what is committed."""

    @pytest.mark.parametrize("name", PAGES)
    def test_current(self, name: str) -> None:
        """A page that differs is out of date: run `make docs` and commit."""
        assert (FOLDER / name).read_text() == PAGES[name]()

    def test_words(self) -> None:
        """Every command of the tables is explained, and nothing else."""
        services = [row for row in V1_0.services.values() if row.name != "NOT_SUPPORTED"]
        rows = {f"RMI_{row.name}" for row in V1_0.commands.values()}
        rows |= {f"RSI_{row.name}" for row in services if row.fid in set(Rsi)}
        rows |= {f"PSCI_{row.name}" for row in services if row.fid in PSCI_CALLS}
        assert set(manual(V1_0)) == {*rows, "SMCCC_VERSION", "predicates"}

    def test_purpose(self) -> None:
        """It says what the command does, beginning with a verb, without a full stop."""
        for name, text in manual(V1_0).items():
            if name != "predicates":
                verb = text["purpose"].split()[0]
                assert verb[0].isupper() and verb.endswith("s") and not text["purpose"].endswith("."), name

    def test_row_without_words(self) -> None:
        """A row that the manual does not know, or not wholly, is named, with what is missing."""
        row = V1_0.commands[Rmi.REALM_ACTIVATE]
        more = replace(row, checks=(*row.checks, Check("realm_tired", lambda call: False)))
        other = replace(row, name="REALM_REST")
        for wrong, message in (
            (more, "must explain RMI_REALM_ACTIVATE: its table [RMI_REALM_ACTIVATE] lacks when.realm_tired;"),
            (other, "must explain RMI_REALM_REST: its table [RMI_REALM_REST] lacks purpose, changes, when.rd_align,"),
            (replace(row, checks=row.checks[:-1]), "take realm_state out of [RMI_REALM_ACTIVATE.when]"),
        ):
            abi = IntEnum("abi", {**{fid.name: fid for fid in Rmi if fid != row.fid}, wrong.name: row.fid})
            version = replace(V1_0, abi=abi, commands={**V1_0.commands, row.fid: wrong})
            with pytest.raises(ManualError, match=re.escape(message)):
                rmi(version)

    def test_no_others(self) -> None:
        """Nothing else is in the folder."""
        assert {path.name for path in FOLDER.iterdir()} == set(PAGES)
