"""Random bytes, instructions and calls as the software of a Realm, up to the last instruction of its address space.

Whatever they do, the run comes to one of its ordinary ends, and the net below everything stays unused;
``--realm-seeds 1000`` runs more seeds.
"""

from pathlib import Path
from typing import Any

from realm_noise import realm_noise

from cca_host.kvmtool.options import RunReason
from realmlab import Machine

INSTRUCTIONS = 200_000


def pytest_generate_tests(metafunc: Any) -> None:
    """A test for each seed."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--realm-seeds")))


def test_seed(tmp_path: Path, seed: int) -> None:
    """No InternalError, and no other exception of Python; the machine is there for the next Realm."""
    payload = tmp_path / "noise.bin"
    payload.write_bytes(realm_noise(seed))
    with Machine() as machine:
        result = machine.run_realm(str(payload), memory="16M", vcpus=1 + seed % 2, max_insns=INSTRUCTIONS)
        assert result.reason in tuple(RunReason)
        again = machine.run_realm("hello")
        assert again.status == 0
