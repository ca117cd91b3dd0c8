"""The committed reference is what the tables say."""

from pathlib import Path

import pytest

from cca_arch.rsi.v1_0 import Rsi
from cca_rmm.commands import attestation, psci, rsi
from cca_rmm.versions.v1_0 import RMI
from cca_tools.reference import PAGES, manual

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


class TestReference:
    """`make docs` writes what is committed."""

    @pytest.mark.parametrize("name", PAGES)
    def test_current(self, name: str) -> None:
        """A page that differs is out of date: run `make docs` and commit."""
        assert (FOLDER / name).read_text() == PAGES[name]()

    def test_words(self) -> None:
        """Every command and every failure condition of the tables is explained, and nothing else."""
        rows = {f"RMI_{row.name}": row for row in RMI.values()}
        rows |= {f"RSI_{row.name}": row for row in (*rsi.COMMANDS, *attestation.COMMANDS) if row.fid in set(Rsi)}
        rows |= {f"PSCI_{row.name}": row for row in psci.COMMANDS if row.name != "NOT_SUPPORTED"}
        words = manual()
        assert set(words) == {*rows, "SMCCC_VERSION", "predicates"}
        for name, row in rows.items():
            assert words[name]["changes"], name
            assert set(words[name].get("when", {})) == {check.id for check in row.conditions}, name

    def test_no_others(self) -> None:
        """Nothing else is in the folder."""
        assert {path.name for path in FOLDER.iterdir()} == set(PAGES)
