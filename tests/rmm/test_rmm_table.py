"""The command tables against the specification: rows, names, failure conditions and their order."""

import json
from pathlib import Path

import pytest

from cca_arch.rmi.v1_0 import Rmi, RmiStatus
from cca_arch.rsi.v1_0 import RsiStatus
from cca_rmm.objects.granule import GRANULE, State
from cca_rmm.versions.v1_0 import V1_0

RMI, SERVICES = V1_0.commands, V1_0.services

SPEC = json.loads((Path(__file__).parent / "vectors" / "rmm10.json").read_text())

EXEMPT = {"rec_sea"}
"""TF-RMM alone fails for inject_sea without a reason; the specification gives the flag no effect then."""


class TestRmiTable:
    """A row says what the specification says of the command."""

    @pytest.mark.parametrize("name", sorted(SPEC["commands"]))
    def test_arguments(self, name: str) -> None:
        """Inputs and outputs, by name and in order."""
        row, spec = RMI[Rmi[name]], SPEC["commands"][name]
        if name == "REC_ENTER":  # X4 is kept for the Host while the Realm runs
            assert row.ins[:2] == tuple(spec["inputs"])
        else:
            assert row.ins == tuple(spec["inputs"])
        assert row.outs == tuple(spec["outputs"])

    @pytest.mark.parametrize("name", sorted(SPEC["commands"]))
    def test_failure_conditions(self, name: str) -> None:
        """Every failure condition is there with its status, in the specified order."""
        ids: list[list[str]] = []
        for check in RMI[Rmi[name]].conditions:
            entry = [check.id, f"RMI_{RmiStatus(check.status).name}"]
            if entry not in ids:
                ids.append(entry)
        assert ids == [failure for failure in SPEC["commands"][name]["failures"] if failure[0] not in EXEMPT]

    def test_names(self) -> None:
        """Every FID of the ABI has a row, under its name."""
        assert {fid: row.name for fid, row in RMI.items()} == {int(fid): fid.name for fid in Rmi}


class TestRsiTable:
    """A row says what the specification says of the service."""

    def test_served(self) -> None:
        """No row answers NOT_SUPPORTED."""
        assert not {name for name, row in SPEC["rsi"].items() if row["fid"] not in SERVICES}

    @pytest.mark.parametrize("name", sorted(SPEC["rsi"]))
    def test_failure_conditions(self, name: str) -> None:
        """Every failure condition is there with its status, in the specified order."""
        row = SERVICES[SPEC["rsi"][name]["fid"]]
        ids = [[check.id, f"RSI_{RsiStatus(check.status).name}"] for check in row.conditions]
        assert ids == SPEC["rsi"][name]["failures"]


class TestGranuleStates:
    """The state machine of granules."""

    def test_objects_return_to_delegated(self) -> None:
        """No object becomes UNDELEGATED at once: only a DELEGATED granule, all zero, goes back to the Host."""
        for (old, _), new in GRANULE.items():
            if new == State.UNDELEGATED:
                assert old == State.DELEGATED
            if old not in (State.UNDELEGATED, State.DELEGATED):
                assert new == State.DELEGATED

    def test_every_state_can_be_entered_and_left(self) -> None:
        """No state is a dead end."""
        assert {new for new in GRANULE.values()} == set(State) == {old for old, _ in GRANULE}
