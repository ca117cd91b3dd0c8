"""RIM and REM chains against published vectors (tests/rmm/vectors/rim.json)."""

import json
from pathlib import Path
from typing import Any

import pytest

from cca_arch.rmi.v1_0 import HashAlgorithm, RmiRealmParams, RmiRecParams
from cca_rmm.objects import measurement

VECTORS = json.loads((Path(__file__).parent / "vectors" / "rim.json").read_text())
PAGE = bytes(i & 0xFF for i in range(4096))
ALGORITHM = {"sha256": HashAlgorithm.SHA_256, "sha512": HashAlgorithm.SHA_512}


def step(algorithm: int, case: dict[str, Any], rim: bytes, row: dict[str, Any]) -> bytes:
    """The measurement after one step of a vector."""
    match row.get("op", "REM").split()[0]:
        case "REALM_CREATE":
            return measurement.rim_init(RmiRealmParams.unpack(RmiRealmParams.pack(**case["params"])))
        case "DATA_CREATE":
            content = measurement.page_digest(algorithm, row["flags"], PAGE)
            return measurement.rim_data(algorithm, rim, int(row["ipa"], 0), row["flags"], content)
        case "RTT_INIT_RIPAS":
            return measurement.rim_ripas(algorithm, rim, int(row["base"], 0), int(row["top"], 0))
        case "REC_CREATE":
            gprs = tuple(int(value, 0) for value in row["gprs"])
            params = RmiRecParams.pack(flags=row["flags"], pc=int(row["pc"], 0), gprs=gprs, mpidr=5, num_aux=2)
            return measurement.rim_rec(algorithm, rim, measurement.rec_digest(algorithm, RmiRecParams.unpack(params)))
        case _:
            return measurement.extend_rem(algorithm, rim, bytes.fromhex(row["value"]))


class TestChains:
    """Every intermediate value of every chain."""

    @pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['name']}-{case['hash']}")
    def test_chain(self, case: dict[str, Any]) -> None:
        """Each step gives the published value; placement (MPIDR, auxiliary granules) does not matter."""
        slot = bytes(64)
        for row in case["steps"]:
            value = step(ALGORITHM[case["hash"]], case, slot, row)
            assert value.hex() == row.get("rim", row.get("rem"))
            slot = value.ljust(64, b"\0")

    def test_placement_is_not_measured(self) -> None:
        """RPV, VMID and the RTT's place and shape leave the initial RIM alone."""
        plain = dict(flags=0, s2sz=33, num_bps=5, num_wps=3)
        placed = dict(plain, rpv=b"\x55" * 64, vmid=7, rtt_base=0x8800_0000, rtt_level_start=1, rtt_num_start=1)
        first, second = (RmiRealmParams.unpack(RmiRealmParams.pack(**values)) for values in (plain, placed))
        assert measurement.rim_init(first) == measurement.rim_init(second)


class TestDescriptors:
    """What is hashed is the descriptor of the specification."""

    def test_packing(self) -> None:
        """The packed forms that the commands use are the declared structures."""
        rim, digest = b"\x11" * 64, measurement.digest(0, PAGE)
        assert measurement.page_digest(0, 1, PAGE) == digest and not measurement.page_digest(0, 0, PAGE)
        data = measurement.DESCRIPTOR_DATA.pack(desc_type=0, len=0x100, rim=rim, ipa=0x8000, flags=1, content=digest)
        assert measurement.rim_data(0, rim, 0x8000, 1, digest) == measurement.digest(0, data)
        ripas = measurement.DESCRIPTOR_RIPAS.pack(desc_type=2, len=0x100, rim=rim, base=0x8000, top=0x9000)
        assert measurement.rim_ripas(0, rim, 0x8000, 0x9000) == measurement.digest(0, ripas)
