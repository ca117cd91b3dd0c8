"""Policies: what a verifier expects, as files and as values."""

import contextlib
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokens import CPAK, good, public, seal

from realmlab.attest import Policy, PolicyError, load_key, load_policy, verify
from realmlab.attest.policy import Component

VECTORS = Path(__file__).parent / "vectors"
SAMPLE = VECTORS / "generated-rel0-token.cbor"
SAMPLE_KEY = VECTORS / "sample-cpak-public.pem"
RIM = "33f7b7f582372240418a4f3f6375f960ad02b7aecf280b744dde6ab7fb14ab09"

POLICIES: dict[str, tuple[str, str | None]] = {
    "nothing": ("", None),
    "rim": (f'rim = "{RIM}"', None),
    "one of two rims": (f'rim = ["00", "{RIM}"]', None),
    "another rim": ('rim = "00"', "rim"),
    "rems": ('[rems]\n1 = "' + "00" * 32 + '"\n4 = ["' + "00" * 32 + '"]', None),
    "another rem": ('[rems]\n2 = "' + "11" * 32 + '"', "rems"),
    "rpv, padded": ('rpv = "00"', None),
    "another rpv": ('rpv = "01"', "rpv"),
    "lifecycle by value": ("lifecycle = [0x3003]", None),
    "lifecycle by name": ('lifecycle = ["decommissioned", "secured"]', None),
    "another lifecycle": ('lifecycle = ["assembly-and-test"]', "lifecycle"),
    "implementation ID": ('implementation_id = "00"', "implementation-id"),
    "instance ID": ('instance_id = "00"', "instance-id"),
    "component": ('[[components]]\ntype = "RSE_BL1_2"', None),
    "component version": ('[[components]]\ntype = "RSE_BL1_2"\nversion = "0"', "components"),
    "component measurement": ('[[components]]\ntype = "RSE_BL1_2"\nmeasurement = "00"', "components"),
    "component signer": ('[[components]]\ntype = "RSE_BL1_2"\nsigner_id = ["00", "01"]', "components"),
    "no such component": ('[[components]]\ntype = "NONE"', "components"),
    "exact components": ('exact_components = true\n[[components]]\ntype = "RSE_BL1_2"', "components"),
}


def digest(name: str) -> bytes:
    """Bytes that no two claims share."""
    return hashlib.sha256(name.encode()).digest()


TYPES = ["BL2", "BL31", "RMM"]
RPV, REMS = bytes(range(64)), [digest(f"rem {number}") for number in range(4)]
ONE = {"type": "BL2", "measurement": digest("BL2"), "signer_id": digest("signer of BL2"), "version": "1.2"}


def subject() -> bytes:
    """A token in which every value that a policy can name differs from all others."""
    token = good()
    token["realm"] |= {44235: RPV, 44238: digest("rim"), 44239: REMS}
    token["platform"] |= {
        256: b"\1" + digest("instance_id"),
        2396: digest("implementation_id"),
        2399: [{1: name, 2: digest(name), 4: "1.2", 5: digest(f"signer of {name}")} for name in TYPES],
    }
    return seal(token)


KEYS = {"a CPAK": public(CPAK)}
SUBJECT = subject()


def near(value: bytes) -> list[Any]:
    """Hex digits that are not the value: another first or last byte, a byte less or more, none; and two of them."""
    first, last = bytes((value[0] ^ 0x80,)) + value[1:], value[:-1] + bytes((value[-1] ^ 1,))
    return [*(one.hex() for one in (first, last, value[:-1], value + b"\0", b"")), [first.hex(), last.hex()]]


def measured(claim: str, value: bytes) -> tuple[str, str, list[Any], list[Any]]:
    """The expectations of a claim of bytes."""
    return (
        claim,
        claim.replace("_", "-"),
        [value.hex(), value.hex().upper(), [near(value)[0], value.hex()]],
        near(value),
    )


def of_component(field: str, right: list[Any], wrong: list[Any]) -> tuple[str, str, list[Any], list[Any]]:
    """The expectations of a field of the first component."""
    sets = ([[{"type": ONE["type"], field: value}] for value in values] for values in (right, wrong))
    return ("components", "components", *sets)


EXPECTATIONS: dict[str, tuple[str, str, list[Any], list[Any]]] = {
    "rim": measured("rim", digest("rim")),
    "implementation_id": measured("implementation_id", digest("implementation_id")),
    "instance_id": measured("instance_id", b"\1" + digest("instance_id")),
    "rpv": ("rpv", "rpv", [RPV.hex()], [RPV[:63].hex(), RPV[1:].hex(), "", "00", RPV[:63].hex() + "3e"]),
    "lifecycle": (
        "lifecycle",
        "lifecycle",
        [["secured"], [0x3003]],
        [["decommissioned"], [0x3002], [0x3103], ["unknown"]],
    ),
    "rems": (
        "rems",
        "rems",
        [{number: rem.hex()} for number, rem in zip("1234", REMS, strict=True)],
        [{number: value} for number, rem in zip("1234", REMS, strict=True) for value in near(rem)],
    ),
    "exact_components": ("exact_components", "components", [False], [True]),
    "components.type": of_component("type", [*TYPES], ["", "BL", "BL22", "bl2"]),
    "components.measurement": of_component("measurement", [ONE["measurement"].hex()], near(ONE["measurement"])),
    "components.signer_id": of_component("signer_id", [ONE["signer_id"].hex()], near(ONE["signer_id"])),
    "components.version": of_component("version", ["1.2"], ["", "1.20", "1."]),
}
"""Name -> field of a policy, step, values that the token fulfils, and values that it does not."""
NAMES = sorted({*(field.name for kind in (Policy, Component) for field in msgspec.structs.fields(kind)), "1", "2", "x"})

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["00", "secured"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
BAD_POLICIES = {
    "unknown key": ("rims = 1", "rims: no such key; did you mean rim?"),
    "unknown key of a component": ('[[components]]\ntype = "RMM"\nsigner = "00"', "components[0].signer: no such key"),
    "wrong type": ("rim = 1", "rim"),
    "no hex": ('rim = "xy"', "must be hex digits"),
    "no TOML": ("rim", "policy"),
    "REM 5": ('[rems]\n5 = "00"', "rems must be numbered 1 to 4, not 5"),
    "state": ('lifecycle = ["secure"]', "lifecycle must be of unknown, "),
    "no rim": ("rim = []", "rim must list at least one value, not none"),
    "no lifecycle": ("lifecycle = []", "lifecycle must list at least one value"),
    "no REM": ("[rems]\n2 = []", "rems.2 must list at least one value"),
    "no measurement": ('[[components]]\ntype = "RMM"\nmeasurement = []', "components[0].measurement must list"),
    "long rpv": ('rpv = "' + "00" * 65 + '"', "rpv must have at most 64 bytes"),
}


class TestPolicy:
    """Reference values."""

    @pytest.mark.parametrize("name", POLICIES)
    def test_policy(self, tmp_path: Path, name: str) -> None:
        """Each expectation is held against its claim."""
        text, expected = POLICIES[name]
        (tmp_path / "policy.toml").write_text(text)
        keys = {"CPAK": load_key(SAMPLE_KEY.read_bytes())}
        report = verify(SAMPLE.read_bytes(), keys, policy=load_policy(tmp_path / "policy.toml"))
        assert (None if report.failure is None else report.failure.step) == expected, report.failure

    @pytest.mark.parametrize("name", BAD_POLICIES)
    def test_bad_policy(self, tmp_path: Path, name: str) -> None:
        """A mistake in a policy is an error, never an expectation that is silently not checked."""
        text, message = BAD_POLICIES[name]
        (tmp_path / "policy.toml").write_text(text)
        with pytest.raises(PolicyError) as error:
            load_policy(tmp_path / "policy.toml")
        assert message in str(error.value)

    @pytest.mark.parametrize("name", EXPECTATIONS)
    def test_each_expectation_alone(self, name: str) -> None:
        """An expectation needs no other to be held against the token, and every byte of it counts."""
        field, step, right, wrong = EXPECTATIONS[name]
        for value in right:
            assert verify(SUBJECT, KEYS, policy=msgspec.convert({field: value}, Policy)).verified, value
        for value in wrong:
            failure = verify(SUBJECT, KEYS, policy=msgspec.convert({field: value}, Policy)).failure
            assert failure is not None, value
            assert failure.step == step

    def test_each_field_has_expectations(self) -> None:
        """No field of a policy or of its components is without a case above."""
        held = {field for field, *_ in EXPECTATIONS.values()}
        assert held == {field.name for field in msgspec.structs.fields(Policy)}
        components = {name for name in EXPECTATIONS if name.startswith("components.")}
        assert components == {f"components.{field.name}" for field in msgspec.structs.fields(Component)}

    @pytest.mark.parametrize("left_out", [None, *TYPES])
    def test_exact_components(self, left_out: str | None) -> None:
        """The policy names every software component, or there is one too many."""
        named = [Component(name) for name in TYPES if name != left_out]
        report = verify(SUBJECT, KEYS, policy=Policy(components=named, exact_components=True))
        assert report.verified == (left_out is None)
        assert verify(SUBJECT, KEYS, policy=Policy(components=named)).verified

    def test_exact_components_alone(self) -> None:
        """A policy that names none, and wants no other, refuses a token that has some."""
        assert not verify(SUBJECT, KEYS, policy=Policy(exact_components=True)).verified

    def test_every_component_of_a_type_counts(self) -> None:
        """A second component of the same type cannot hide behind the first."""
        token = good()
        second = token["platform"][2399][0] | {2: digest("another")}
        wanted = Policy(components=[Component("RMM", measurement=bytes(32).hex())])
        assert verify(seal(token), KEYS, policy=wanted).verified
        token["platform"][2399].append(second)
        assert not verify(seal(token), KEYS, policy=wanted).verified

    @given(document=DOCUMENTS, text=st.binary(max_size=40))
    def test_garbage(self, document: Any, text: bytes) -> None:
        """Whatever a file holds: a policy that can be held against a token, or a PolicyError."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in (("a.json", json.dumps(document).encode()), ("b.json", text), ("b.toml", text)):
                path = Path(folder) / name
                path.write_bytes(content)
                with contextlib.suppress(PolicyError):
                    verify(SUBJECT, {}, policy=load_policy(path))

    @pytest.mark.parametrize("name", ["deep.json", "deep.toml"])
    def test_depth(self, tmp_path: Path, name: str) -> None:
        """A document of too many levels is an error like others."""
        (tmp_path / name).write_text(("" if name.endswith("json") else "rim = ") + "[" * 200_000)
        with pytest.raises(PolicyError):
            load_policy(tmp_path / name)

    def test_json(self, tmp_path: Path) -> None:
        """The same in JSON."""
        (tmp_path / "policy.json").write_text(json.dumps({"rim": RIM, "rems": {"1": "00"}}))
        assert load_policy(tmp_path / "policy.json") == Policy(rim=RIM, rems={"1": "00"})
