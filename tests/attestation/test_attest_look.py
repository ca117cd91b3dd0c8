"""``realmlab attest show``: as much of a token as can be read, and what is odd about it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from tokens import CPAK, OTHER, Token, good, seal

from cca_arch import cose
from cca_tools.cli import main
from realmlab.attest import TokenError, look

ODD: dict[str, tuple[Callable[[Token], object], str]] = {
    "lifecycle as text": (lambda t: t["platform"].update({2395: "secured"}), "claim 2395 (lifecycle) must be 16 bits"),
    "lifecycle of 17 bits": (lambda t: t["platform"].update({2395: 1 << 16}), "claim 2395 (lifecycle) must be 16 bits"),
    "no RIM": (lambda t: t["realm"].pop(44238), "must have claim 44238 (rim)"),
    "RIM as text": (lambda t: t["realm"].update({44238: "00" * 32}), "claim 44238 (rim) must be bytes"),
    "REM of another size": (
        lambda t: t["realm"].update({44239: [bytes(32)] * 3 + [b""]}), "rems must have the 32 bytes of sha-256"
    ),
    "REMs that are none": (lambda t: t["realm"].update({44239: {}}), "claim 44239 (rems) must be an array of 4"),
    "hash": (lambda t: t["realm"].update({44236: ["md5"]}), "claim 44236 (hash_algorithm) must be one of"),
    "components": (lambda t: t["platform"].update({2399: 7}), "claim 2399 (components) must be an array"),
    "a component": (lambda t: t["platform"][2399].append(7), "a software component must be a map"),
    "measurement": (lambda t: t["platform"][2399][0].pop(2), "software component 1 must have claim 2 (measurement)"),
    "type": (lambda t: t["platform"][2399][0].update({1: [1]}), "software component 1: claim 1 (type) must be text"),
    "text key": (
        lambda t: t["realm"].update({"rim": bytes(32)}),
        'the realm token has "rim", which is not claim 44238 (rim): its key is a text',
    ),
    "text key of a component": (
        lambda t: t["platform"][2399][0].update({"type": "RMM"}), 'software component 1 has "type"'
    ),
    "control characters": (
        lambda t: t["platform"].update({2400: "\x1b[2JVERIFIED"}),
        "claim 2400 (verification_service) has control characters",
    ),
    "key": (lambda t: t["realm"].update({44237: b""}), "realm-signature: COSE_Key"),
    "binding": (lambda t: t["platform"].update({10: bytes(32)}), "binding: the platform's challenge must be"),
    "profile": (lambda t: t["platform"].update({265: "http://arm.com/CCA-SSD/1.0.0"}), "profile: both halves must"),
}  # fmt: skip


class TestLook:
    """What a token says is told whether or not it is right."""

    @pytest.mark.parametrize("name", ["rel0", "legacy", "realm"])
    def test_nothing_is_odd(self, samples: Any, name: str) -> None:
        """Good tokens of both layouts."""
        assert look(samples[name].token).odd == []

    @pytest.mark.parametrize("name", ODD)
    def test_odd_claims(self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Each is named, and the other claims are shown; the status is 0, for people and as JSON."""
        spoil, message = ODD[name]
        token = good()
        spoil(token)
        (tmp_path / "token").write_bytes(seal(token))
        assert main(["attest", "show", str(tmp_path / "token"), "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert any(message in odd for odd in data["odd"]), data["odd"]
        assert data["realm"]["rpv"] == "00" * 64
        assert data["platform"]["implementation_id"] == "00" * 32
        assert main(["attest", "show", str(tmp_path / "token")]) == 0
        output = capsys.readouterr().out
        odd = output[output.index("\nOdd\n") :]
        assert message in odd
        assert "\x1b" not in output

    def test_text_and_numbers_are_told_apart(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Unknown items are named as CBOR writes them, so none can pass for another."""
        token = good()
        token["realm"] |= {99999: [1], "99999": "[1]", "rim": b"\1"}
        (tmp_path / "token").write_bytes(seal(token))
        main(["attest", "show", str(tmp_path / "token"), "--json"])
        realm = json.loads(capsys.readouterr().out)["realm"]
        assert realm["rim"] == "00" * 32
        assert realm["unknown"] == {"99999": "[1]", '"99999"': '"[1]"', '"rim"': "h'01'"}
        main(["attest", "show", str(tmp_path / "token")])
        assert 'unknown "rim"' in capsys.readouterr().out

    def test_signatures(self) -> None:
        """The realm token has its own key to try; without a CPAK nothing is said of the platform's."""
        assert [odd.partition(":")[0] for odd in look(seal(good(), rak=OTHER)).odd] == ["realm-signature"]
        assert look(seal(good(), cpak=OTHER)).odd == []

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda halves: cbor2.CBORTag(400, halves), "must have CBOR tag 399, not 400"),
            (lambda halves: halves, "must have CBOR tag 399, not none"),
            (lambda halves: cbor2.CBORTag(399, halves | {"x": 1}), 'without "x"'),
            (lambda halves: cbor2.CBORTag(399, {44241: halves[44241]}), "must have 44234, the platform token"),
            (lambda halves: cbor2.CBORTag(399, halves | {44234: 7}), "the platform token must be a byte string"),
            (lambda halves: cbor2.CBORTag(399, halves | {44234: b"\xff"}), "platform token: COSE_Sign1: "),
            (lambda halves: cbor2.CBORTag(399, halves | {44234: cose.sign1(CPAK, b"\0")}), "must be a map of claims"),
        ],
    )
    def test_odd_frames(self, change: Callable[[Any], Any], message: str) -> None:
        """What is wrong around the claims does not hide those of the other half."""
        found = look(cbor2.dumps(change(cbor2.loads(seal(good())).value)))
        assert any(message in odd for odd in found.odd), found.odd
        assert found.realm is not None
        assert found.realm["rim"] == bytes(32)

    def test_odd_header(self) -> None:
        """The claims of a half whose header is wrong are still read."""
        halves = cbor2.loads(seal(good())).value
        parts = cbor2.loads(halves[44241]).value
        halves[44241] = cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: "ES384"}), *parts[1:]]))
        found = look(cbor2.dumps(cbor2.CBORTag(399, halves)))
        assert found.realm is not None
        assert found.realm["rim"] == bytes(32)
        assert any("with an algorithm" in odd for odd in found.odd)

    @pytest.mark.parametrize("data", [b"", b"\0", b"\xa0", cbor2.dumps(cbor2.CBORTag(399, {44234: b"", 44241: b""}))])
    def test_no_token(self, data: bytes) -> None:
        """Bytes without any claims are no token."""
        with pytest.raises(TokenError):
            look(data)
