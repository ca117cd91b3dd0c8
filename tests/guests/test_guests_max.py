"""C code as suites for RME machines build it: for Armv8.5, with pointer authentication. It needs the CPU ``max``."""

import struct
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

import pytest

import realmlab
from cca_platform.isa.features import feature_of

pytestmark = pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed: nothing can be built")
_BUILDER = Path(__file__).parents[2] / "realm_payloads" / "build.py"
_TARGET = ("-mcpu=generic+v8_5a+el3+el2vmsa-neon-fp_armv8", "-mbranch-protection=standard")
_REALM = {"hello": b"Hello from Realm EL1", "el0": b"EL0"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with payloads that were built for Armv8.5."""
    folder = tmp_path_factory.mktemp("max")
    build = run_path(str(_BUILDER))["build"]
    known = build.__globals__
    known["CFLAGS"] = (*(flag for flag in known["CFLAGS"] if not flag.startswith("-mcpu")), *_TARGET)
    build([*_REALM, "ns_enter"], folder)
    return folder


def _features(path: Path) -> set[str]:
    data = path.read_bytes()
    words = struct.unpack(f"<{len(data) // 4}I", data[: len(data) & -4])
    return {feature for word in words if word >> 24 in (0xD6, 0xD5, 0xB8, 0xF8) and (feature := feature_of(word))}


@pytest.mark.parametrize("name", _REALM)
def test_realm(built: Path, name: str) -> None:
    """In a Realm it does what the bundled build does, on ``max``; on ``a72`` it dies, and the message says why."""
    path = built / f"{name}.elf"
    assert "FEAT_PAuth" in _features(path)
    with realmlab.Machine(cpu="max") as machine:
        own = machine.run_realm(path)
        bundled = machine.run_realm(name)
        assert (own.status, own.reason) == (0, bundled.reason)
        assert _REALM[name] in own.console
    with realmlab.Machine() as machine:
        result = machine.run_realm(path, max_insns=1_000_000)
        assert result.status != 0
        assert "which PE 0 lacks: use `cpu` max" in result.message


def test_ns(built: Path) -> None:
    """At Non-secure EL2, too."""
    with realmlab.NsMachine(str(built / "ns_enter.elf"), cpu="max") as machine:
        assert machine.run(max_insns=50_000_000).status == 0
    with realmlab.NsMachine(str(built / "ns_enter.elf")) as machine:
        assert "which PE 0 lacks: use `cpu` max" in machine.run(max_insns=1_000_000).lacks
