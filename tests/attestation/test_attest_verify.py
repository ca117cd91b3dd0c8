"""Verification: good tokens, tokens with one bit altered, tokens whose claims are not what they must be."""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cwt import COSE, COSEKey
from hypothesis import given
from hypothesis import strategies as st
from tokens import CPAK, OTHER, RAK, Token, good, public, seal

from cca_arch import cose
from realmlab.attest import Layout, Report, load_key, look, parse, verify
from realmlab.attest.render import look_data, report_data, show_look, show_report
from realmlab.attest.token import COMPONENT, PLATFORM, REALM, Claim, TokenError
from realmlab.attest.verify import Result

KEYS = {"a CPAK": public(CPAK)}


def reason(report: Report) -> str | None:
    """The step that failed first."""
    return None if report.failure is None else report.failure.step


class TestSamples:
    """Tokens of others, of both layouts, and ours."""

    @pytest.mark.parametrize(("name", "layout"), [("rel0", "rel0"), ("legacy", "legacy"), ("realm", "rel0")])
    def test_verified(self, samples: Any, name: str, layout: str) -> None:
        """Every step that has something to check passes."""
        report = verify(samples[name].token, samples[name].keys)
        assert report.verified, report.failure
        assert report.layout == Layout(layout)
        assert {outcome.result for outcome in report.outcomes} <= {Result.PASSED, Result.SKIPPED}

    @pytest.mark.parametrize("name", ["rel0", "legacy", "realm"])
    def test_cwt_agrees(self, samples: Any, name: str) -> None:
        """An independent library verifies the same signatures, and reads the same payloads."""
        halves = cbor2.loads(samples[name].token).value
        parsed, decoder = parse(samples[name].token), COSE.new(verify_kid=False)
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        accepted = 0
        for key in samples[name].keys.values():
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
            try:
                payload = decoder.decode(halves[44234], COSEKey.from_pem(pem, alg="ES384", kid="cpak"))
            except Exception:  # another board's CPAK
                continue
            accepted += payload == parsed.platform.payload
        assert accepted == 1
        rak = cbor2.loads(parsed.realm.payload)[44237]
        if name == "legacy":
            rak = cbor2.dumps({1: 2, -1: 2, -2: rak[1:49], -3: rak[49:]})
        key = COSEKey.new({**cbor2.loads(rak), 3: -35, 2: b"rak"})
        assert decoder.decode(halves[44241], key) == parsed.realm.payload

    def test_the_wrong_cpak(self, samples: Any) -> None:
        """A token of another platform is not verified."""
        assert reason(verify(samples["rel0"].token, samples["realm"].keys)) == "platform-signature"
        assert reason(verify(samples["rel0"].token, {})) == "platform-signature"

    def test_halves_of_two_tokens(self, samples: Any) -> None:
        """A platform token does not vouch for the Realm of another platform."""
        first, second = (cbor2.loads(samples[name].token).value for name in ("rel0", "realm"))
        mixed = cbor2.dumps(cbor2.CBORTag(399, {44234: first[44234], 44241: second[44241]}))
        assert reason(verify(mixed, samples["rel0"].keys)) == "binding"


def regions(token: bytes) -> Callable[[int], set[str]]:
    """Offset of a byte -> the reasons for which a token with it altered may be refused."""
    parsed = parse(token)
    found: list[tuple[int, int, set[str]]] = []
    at = 0
    for half, name in ((parsed.platform, "platform"), (parsed.realm, "realm")):
        for part, reasons in (
            (half.protected, {"structure", f"{name}-signature"}),
            (half.payload, {f"{name}-signature"}),
            (half.signature, {f"{name}-signature"}),
        ):
            at = token.index(part, at)
            found.append((at, at + len(part), reasons))
            at += len(part)
    return lambda byte: next((reasons for low, high, reasons in found if low <= byte < high), {"structure"})


class TestAlteredBits:
    """No bit of a token can be altered."""

    @pytest.mark.parametrize("name", ["realm", "legacy", "rel0"])
    def test_every_bit(self, samples: Any, name: str) -> None:
        """The token is refused, because of the part that the bit is in.

        Every bit of the frame, and of what is signed one of each byte: a signature does not know bits.
        """
        token, keys = samples[name]
        keys = dict(item for item in keys.items() if verify(token, dict([item])).verified)
        expected, wrong = regions(token), []
        for byte in range(len(token)):
            for bit in range(8) if expected(byte) == {"structure"} else (byte * 3 % 8,):
                altered = bytearray(token)
                altered[byte] ^= 1 << bit
                found = reason(verify(bytes(altered), keys))
                if found not in expected(byte):
                    wrong.append((byte, bit, found))
        assert not wrong

    def test_truncated_and_extended(self, samples: Any) -> None:
        """A token is all of its bytes and no more."""
        token, keys = samples["realm"]
        for size in range(0, len(token), 7):
            assert reason(verify(token[:size], keys)) == "structure"
        assert reason(verify(token + b"\0", keys)) == "structure"


SPOILED: dict[str, tuple[Callable[[Token], Any], str]] = {
    "platform profile": (lambda t: t["platform"].update({265: "tag:example"}), "platform-claims"),
    "legacy platform profile": (lambda t: t["platform"].update({265: "http://arm.com/CCA-SSD/1.0.0"}), "profile"),
    "no implementation ID": (lambda t: t["platform"].pop(2396), "platform-claims"),
    "short implementation ID": (lambda t: t["platform"].update({2396: bytes(31)}), "platform-claims"),
    "UEID of another type": (lambda t: t["platform"].update({256: b"\x02" + bytes(32)}), "platform-claims"),
    "lifecycle of 17 bits": (lambda t: t["platform"].update({2395: 1 << 16}), "platform-claims"),
    "lifecycle as text": (lambda t: t["platform"].update({2395: "secured"}), "platform-claims"),
    "debug lifecycle": (lambda t: t["platform"].update({2395: 0x5000}), "lifecycle"),
    "decommissioned": (lambda t: t["platform"].update({2395: 0x6000}), "lifecycle"),
    "undefined lifecycle": (lambda t: t["platform"].update({2395: 0x7000}), "lifecycle"),
    "no components": (lambda t: t["platform"].update({2399: []}), "platform-claims"),
    "component that is no map": (lambda t: t["platform"].update({2399: [1]}), "platform-claims"),
    "component without measurement": (lambda t: t["platform"][2399][0].pop(2), "platform-claims"),
    "component without signer": (lambda t: t["platform"][2399][0].pop(5), "platform-claims"),
    "signer of 31 bytes": (lambda t: t["platform"][2399][0].update({5: bytes(31)}), "platform-claims"),
    "platform hash": (lambda t: t["platform"].update({2402: "md5"}), "platform-claims"),
    "challenge of another RAK": (lambda t: t["platform"].update({10: bytes(32)}), "binding"),
    "binding by another hash": (lambda t: t["realm"].update({44240: "sha-512"}), "binding"),
    "no RAK": (lambda t: t["realm"].pop(44237), "realm-signature"),
    "RAK as a raw point": (lambda t: t["realm"].update({44237: cose.point(RAK)}), "realm-signature"),
    "RAK off the curve": (
        lambda t: t["realm"].update({44237: cose.cose_key(cose.point(RAK)[:-1] + b"\0")}), "realm-signature",
    ),
    "RAK of another": (lambda t: t["realm"].update({44237: cose.cose_key(cose.point(OTHER))}), "realm-signature"),
    "realm profile": (lambda t: t["realm"].update({265: "tag:arm.com,2024:realm#2.0.0"}), "realm-claims"),
    "short challenge": (lambda t: t["realm"].update({10: bytes(32)}), "realm-claims"),
    "no RPV": (lambda t: t["realm"].pop(44235), "realm-claims"),
    "realm hash": (lambda t: t["realm"].update({44236: "SHA-256"}), "realm-claims"),
    "RIM that is not cut": (lambda t: t["realm"].update({44238: bytes(64)}), "realm-claims"),
    "three REMs": (lambda t: t["realm"].update({44239: [bytes(32)] * 3}), "realm-claims"),
    "REM of another size": (lambda t: t["realm"].update({44239: [bytes(32)] * 3 + [bytes(48)]}), "realm-claims"),
    "REM as text": (lambda t: t["realm"].update({44239: [bytes(32)] * 3 + ["0" * 32]}), "realm-claims"),
}  # fmt: skip


class TestClaims:
    """A rightly signed token is refused for its claims, by the step that looks at them."""

    def test_good(self) -> None:
        """Nothing is wrong with the claims that the others spoil; unknown ones are tolerated and kept apart."""
        assert verify(seal(good()), KEYS).verified
        token = good()
        token["realm"][99999] = [1, {2: None}]
        token["platform"].pop(2400)
        report = verify(seal(token), KEYS)
        assert report.verified
        assert report.realm is not None
        assert report.realm.unknown[99999] == [1, {2: None}]

    @pytest.mark.parametrize("name", SPOILED)
    def test_spoiled(self, name: str) -> None:
        """One claim is wrong."""
        spoil, expected = SPOILED[name]
        token = good()
        spoil(token)
        report = verify(seal(token), KEYS)
        assert reason(report) == expected, report.failure

    @pytest.mark.parametrize("row", [*PLATFORM, *REALM], ids=lambda row: row.name)
    def test_text_key_like_a_name(self, row: Claim) -> None:
        """An unknown text key is no claim, however it is spelled: it neither replaces one nor stands in for one."""
        half = "platform" if row in PLATFORM else "realm"
        others: list[Any] = [0x3003, b"", bytes(32), "sha-256", [], [1], {}, None]
        for item in others:
            token = good()
            before = verify(seal(token), KEYS)
            token[half] |= {row.name: item, str(int(row.key)): item}
            report = verify(seal(token), KEYS)
            assert report.verified, report.failure
            assert (report.platform, report.realm) == (before.platform, before.realm)
            assert getattr(report, half).unknown == {row.name: item, str(int(row.key)): item}
        if row.mandatory:
            token[half][row.name] = token[half].pop(row.key)
            assert not verify(seal(token), KEYS).verified

    @pytest.mark.parametrize("row", COMPONENT, ids=lambda row: row.name)
    def test_text_key_like_a_field(self, row: Claim) -> None:
        """The same in a software component."""
        token = good()
        expected = verify(seal(token), KEYS).platform
        token["platform"][2399][0] |= {row.name: "forged", 99: 1}
        report = verify(seal(token), KEYS)
        assert report.platform is not None
        assert report.verified
        assert report.platform == expected
        assert report.platform["components"][0].unknown == {row.name: "forged", 99: 1}

    def test_decommissioned_stays_decommissioned(self) -> None:
        """A text key cannot make a platform look secured."""
        token = good()
        token["platform"] |= {2395: 0x6000, "lifecycle": 0x3003}
        assert reason(verify(seal(token), KEYS)) == "lifecycle"

    def test_signatures_come_first(self) -> None:
        """A signature of another key is the reason, whatever the claims say."""
        token = good()
        token["platform"].pop(2396)
        assert reason(verify(seal(token, cpak=OTHER), KEYS)) == "platform-signature"
        token = good()
        token["realm"].pop(44235)
        assert reason(verify(seal(token, rak=OTHER), KEYS)) == "realm-signature"

    def test_sha_512(self) -> None:
        """Both hashes of measurements and of the binding."""
        token = good()
        token["realm"].update({44236: "sha-512", 44238: bytes(64), 44239: [bytes(64)] * 4, 44240: "sha-512"})
        token["platform"][10] = hashlib.sha512(token["realm"][44237]).digest()
        assert verify(seal(token), KEYS).verified

    @pytest.mark.parametrize(
        ("challenge", "expected"), [(bytes(64), None), (b"", None), (b"\0", None), (b"\1", "challenge")]
    )
    def test_challenge(self, challenge: bytes, expected: str | None) -> None:
        """The challenge is the one that was sent, zero padded."""
        assert reason(verify(seal(good()), KEYS, challenge)) == expected


NO_MAPS: list[Any] = [[], [1, -35], 1, None, "alg", b"", {1: "ES384"}, {1: True}, {}]
"""What a protected header must not be."""


class TestCose:
    """The frame of both halves."""

    def test_other_algorithms(self) -> None:
        """The CPAK may be on another curve; the algorithm has to go with the key."""
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        for algorithm, curve in (("ES256", ec.SECP256R1()), ("ES512", ec.SECP521R1())):
            private = ec.generate_private_key(curve)
            pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            key = COSEKey.from_pem(pem, alg=algorithm, kid="x")
            half = COSE.new().encode_and_sign(
                cose.encode(good()["platform"]), key, protected={"alg": algorithm}, unprotected={99: b"tolerated"}
            )
            realm = cbor2.loads(seal(good())).value[44241]
            token = cbor2.dumps(cbor2.CBORTag(399, {44234: half, 44241: realm}))
            assert verify(token, {"x": private.public_key()}).verified
            assert reason(verify(token, KEYS)) == "platform-signature"

    @pytest.mark.parametrize(
        "frame",
        [
            lambda parts: cbor2.CBORTag(17, parts),
            lambda parts: parts,
            lambda parts: cbor2.CBORTag(18, parts[:3]),
            lambda parts: cbor2.CBORTag(18, [parts[0], [], *parts[2:]]),
            lambda parts: cbor2.CBORTag(18, [b"", *parts[1:]]),
            lambda parts: cbor2.CBORTag(18, [cbor2.dumps({1: -35, 2: [99]}), *parts[1:]]),
            lambda parts: cbor2.CBORTag(18, [cbor2.dumps({1: "ES384"}), *parts[1:]]),
            lambda parts: cbor2.CBORTag(18, [*parts[:2], None, parts[3]]),
            *(lambda parts, header=header: cbor2.CBORTag(18, [cbor2.dumps(header), *parts[1:]]) for header in NO_MAPS),
        ],
    )
    def test_bad_frames(self, frame: Callable[[Any], Any]) -> None:
        """Tag, array of four, a map with a known algorithm, no critical header, an attached payload."""
        halves = cbor2.loads(seal(good())).value
        bad = cbor2.dumps(frame(cbor2.loads(halves[44234]).value))
        assert reason(verify(cbor2.dumps(cbor2.CBORTag(399, {**halves, 44234: bad})), KEYS)) == "structure"

    def test_order_of_the_halves(self) -> None:
        """A verifier does not depend on it."""
        halves = cbor2.loads(seal(good())).value
        assert verify(cbor2.dumps(cbor2.CBORTag(399, dict(reversed(halves.items())))), KEYS).verified

    def test_keys_that_are_none(self) -> None:
        """A PEM file that holds no key for ECDSA is bad input."""
        from cca_platform.errors import MachineError

        for pem in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff"):
            with pytest.raises(MachineError, match="CPAK must be a public key in PEM"):
                load_key(pem)


NUMBERS = [int(row.key) for row in (*PLATFORM, *REALM, *COMPONENT)]
KEYS_OF_MAPS = (
    st.integers(-5, 5)
    | st.sampled_from([44234, 44241, *NUMBERS])
    | st.sampled_from([row.name for row in (*PLATFORM, *REALM, *COMPONENT)])
    | st.text(max_size=4)
)
CBOR = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats()
    | st.sampled_from([bytes(32), bytes(48), bytes(64), b"\1" + bytes(32)])
    | st.binary(max_size=60)
    | st.sampled_from(["sha-256", "sha-384", "sha-512", "\x1b[2J", "\x9b", "\x7f", "\u202e"])
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS_OF_MAPS, inner, max_size=4)
        | st.builds(cbor2.CBORTag, st.sampled_from([18, 399]), inner)
    ),
    max_leaves=8,
)


def told(token: bytes) -> Report:
    """Verify a token, and show it in every form: none raises anything but TokenError, and only ``look`` does."""
    report = verify(token, KEYS)
    with io.StringIO() as shown:
        show_report(report, shown)
        json.dumps(report_data(report), allow_nan=False)
        with contextlib.suppress(TokenError):
            found = look(token)
            show_look(found, shown)
            json.dumps(look_data(found), allow_nan=False)
        assert all(line.isprintable() for line in shown.getvalue().split("\n"))
    return report


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


class TestColours:
    """On a terminal the verdict has the colour of its meaning."""

    @pytest.mark.parametrize(("keys", "shown"), [(True, "\x1b[32mverified"), (False, "\x1b[1;31mNOT VERIFIED: ")])
    def test_verdict(self, monkeypatch: pytest.MonkeyPatch, keys: bool, shown: str) -> None:
        """Green, or bold and red."""
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        with Terminal() as stream:
            show_report(verify(seal(good()), KEYS if keys else {}), stream)
            assert shown in stream.getvalue().splitlines()[-1]


def named(report: Report) -> tuple[dict[str, Any], dict[str, Any]]:
    """The claims of both halves by their names."""
    assert report.platform is not None and report.realm is not None
    return dict(report.platform), dict(report.realm)


class TestGarbage:
    """Nothing makes the verifier fail in another way than by saying why."""

    @given(data=st.binary(max_size=200))
    def test_bytes(self, data: bytes) -> None:
        """Random bytes."""
        assert reason(told(data)) == "structure"

    @given(value=CBOR)
    def test_items(self, value: Any) -> None:
        """Random items, in place of the token and of what is in it."""
        for item in (value, cbor2.CBORTag(399, value), cbor2.CBORTag(399, {44234: value, 44241: value})):
            assert not told(cbor2.dumps(item)).verified

    @given(value=CBOR, name=st.sampled_from(["platform", "realm"]), claim=st.data())
    def test_claims(self, value: Any, name: str, claim: st.DataObject) -> None:
        """Random values of a claim, rightly signed: a known one keeps its type, an unknown one changes nothing."""
        token = good()
        key = claim.draw(st.sampled_from(sorted(token[name])) | KEYS_OF_MAPS)
        known, kind = key in token[name], type(token[name].get(key))
        token[name][key] = value
        report = told(seal(token))
        if known and type(value) is not kind:
            assert not report.verified
        if not known:
            assert report.verified and named(report) == named(told(seal(good())))

    @given(value=CBOR, field=KEYS_OF_MAPS, others=CBOR)
    def test_components(self, value: Any, field: Any, others: Any) -> None:
        """Random fields of a component, and random components, rightly signed: one is a map with all it needs."""
        token = good()
        first = token["platform"][2399][0]
        wrong = field in first and type(value) is not type(first[field])
        first[field] = value
        assert not (wrong and told(seal(token)).verified)
        token["platform"][2399].append(others)
        needed = {row.key for row in COMPONENT if row.mandatory}
        complete = isinstance(others, dict) and needed <= others.keys()
        assert complete or not told(seal(token)).verified

    @given(value=CBOR, place=st.integers(0, 3), parameter=KEYS_OF_MAPS)
    def test_frames(self, value: Any, place: int, parameter: Any) -> None:
        """Random parts of the frame of a half, and random parameters in its header."""
        halves = cbor2.loads(seal(good())).value
        for number in halves:
            parts = cbor2.loads(halves[number]).value
            for part in (value, cbor2.dumps({1: -35, parameter: value})):
                frame = cbor2.dumps(cbor2.CBORTag(18, [*parts[:place], part, *parts[place + 1 :]]))
                report = told(cbor2.dumps(cbor2.CBORTag(399, {**halves, number: frame})))
                if place != 1 and part != parts[place]:  # place 1 is the unprotected header, which is not signed
                    assert not report.verified

    @given(key=st.dictionaries(st.sampled_from([1, 2, 3, -1, -2, -3]), CBOR, max_size=6) | CBOR, raw=st.booleans())
    def test_keys(self, key: Any, raw: bool) -> None:
        """Random keys in the realm token."""
        token = good()
        token["realm"][44237] = key if raw else cbor2.dumps(key)
        assert not told(seal(token)).verified

    @given(r=st.integers(0, 2**384 - 1), s=st.integers(0, 2**384 - 1) | st.just(0), size=st.integers(0, 200))
    def test_signatures(self, r: int, s: int, size: int) -> None:
        """Random signatures: of the right size, and of any."""
        halves = cbor2.loads(seal(good())).value
        both = r.to_bytes(48, "big") + s.to_bytes(48, "big")
        for signature in (both, both[:size]):
            for number, step in ((44234, "platform-signature"), (44241, "realm-signature")):
                frame = cbor2.dumps(cbor2.CBORTag(18, [*cbor2.loads(halves[number]).value[:3], signature]))
                assert reason(told(cbor2.dumps(cbor2.CBORTag(399, {**halves, number: frame})))) == step

    @given(payload=st.binary(max_size=100), value=CBOR)
    def test_payloads(self, payload: bytes, value: Any) -> None:
        """Random payloads, rightly signed."""
        for content in (payload, cbor2.dumps(value)):
            halves = [cose.sign1(key, content) for key in (CPAK, RAK)]
            token = cbor2.dumps(cbor2.CBORTag(399, dict(zip((44234, 44241), halves, strict=True))))
            assert not told(token).verified

    @given(cut=st.tuples(st.integers(0, 1200), st.integers(0, 1200)), data=st.binary(max_size=8))
    def test_splices(self, samples: Any, cut: tuple[int, int], data: bytes) -> None:
        """A good token with a part replaced."""
        token, keys = samples["realm"]
        spliced = token[: cut[0]] + data + token[cut[1] :]
        assert verify(spliced, keys).verified == (spliced == token)
