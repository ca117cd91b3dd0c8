"""Tokens: the samples, and one made in a Realm."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

import realmlab
from realmlab.attest import development_keys, load_key
from realmlab.attest.source import extract

VECTORS = Path(__file__).parent / "vectors"


class Sample(NamedTuple):
    """A token, and the CPAK to verify it with."""

    token: bytes
    keys: dict[str, Any]


@pytest.fixture(scope="session")
def samples() -> dict[str, Sample]:
    """The published samples of both layouts, and a token out of a Realm, by name."""
    sample_key = {"the sample CPAK": load_key((VECTORS / "sample-cpak-public.pem").read_bytes())}
    with realmlab.Machine() as machine:
        result = machine.run_realm("attest")
    assert result.status == 0
    return {
        "rel0": Sample((VECTORS / "generated-rel0-token.cbor").read_bytes(), sample_key),
        "legacy": Sample((VECTORS / "ccatoken-legacy-token.cbor").read_bytes(), sample_key),
        "realm": Sample(extract(result.console), development_keys()),
    }
