"""RMI and RSI 1.0 against the specification's tables (tests/rmm/vectors/rmm10.json: offsets, sizes, encodings)."""

import json
from enum import IntEnum
from pathlib import Path

import pytest

from cca_arch.rmi import v1_0 as rmi
from cca_arch.rsi import v1_0 as rsi
from cca_rmm.objects.measurement import DESCRIPTOR_DATA, DESCRIPTOR_REC, DESCRIPTOR_RIPAS

SPEC = json.loads((Path(__file__).parents[1] / "rmm" / "vectors" / "rmm10.json").read_text())
STRUCTS = {
    **{name: getattr(abi, name) for name in SPEC["structs"] for abi in (rmi, rsi) if hasattr(abi, name)},
    "RmmMeasurementDescriptorData": DESCRIPTOR_DATA,
    "RmmMeasurementDescriptorRec": DESCRIPTOR_REC,
    "RmmMeasurementDescriptorRipas": DESCRIPTOR_RIPAS,
}


class TestFids:
    """Function identifiers are the specification's."""

    def test_rmi(self) -> None:
        """Every RMI command, no other."""
        assert {row.name: row.value for row in rmi.Rmi} == {n: c["fid"] for n, c in SPEC["commands"].items()}

    def test_rsi(self) -> None:
        """Every RSI command, no other."""
        assert {row.name: row.value for row in rsi.Rsi} == {n: c["fid"] for n, c in SPEC["rsi"].items()}


class TestStructures:
    """Structures have the specification's layout."""

    @pytest.mark.parametrize("name", sorted(SPEC["structs"]))
    def test_layout(self, name: str) -> None:
        """Size, and offset and size of each member."""
        struct, spec = STRUCTS[name], SPEC["structs"][name]
        assert struct.size == spec["size"]
        members = [[m.name, m.offset, m.size * m.count] for m in struct.members.values()]
        assert members == spec["fields"]

    def test_feature_register(self) -> None:
        """Feature register 0: field names and bit ranges."""
        fields = {name: (f.high, f.low) for name, f in rmi.FeatureRegister0.fields().items()}
        for row in SPEC["features"].values():
            if row["name"] != "reserved":
                high, _, low = row["bits"].partition(":")
                assert fields.pop(row["name"]) == (int(high), int(low or high))
        assert not fields

    @pytest.mark.parametrize(
        ("name", "prefix", "kind"),
        [
            ("RmiHashAlgorithm", "RMI_HASH_", rmi.HashAlgorithm),
            ("RmiRecExitReason", "RMI_EXIT_", rmi.RecExitReason),
            ("RmiRttEntryState", "RMI_", rmi.RmiRttEntryState),
            ("RmiRipas", "RMI_", rmi.RmiRipas),
            ("RmiResponse", "RMI_", rmi.RmiResponse),
        ],
    )
    def test_enumerations(self, name: str, prefix: str, kind: type[IntEnum]) -> None:
        """Enumerations have the specification's members and values."""
        assert {f"{prefix}{member.name}": member.value for member in kind} == SPEC["enums"][name]


class TestMpidr:
    """REC index and MPIDR are each other's inverse; Aff0 has 4 bits."""

    def test_inverse(self) -> None:
        """Over every boundary between affinity fields."""
        for index in (0, 1, 15, 16, 255, 4095, 4096, 65535, 65536, (1 << 20) - 1, 1 << 20):
            assert rmi.rec_index(rmi.mpidr_of(index)) == index

    def test_aff0_has_four_bits(self) -> None:
        """REC 16 is Aff1 = 1."""
        assert rmi.mpidr_of(16) == 0x100
