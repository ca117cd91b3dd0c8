"""``realmlab attest``: exit statuses, input forms, policies; and tokens of whole runs."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import realmlab
from cca_firmware.bl31.attestation import cpak_pem
from cca_platform.errors import MachineError
from cca_tools.cli import main
from realmlab.attest import Policy, development_keys, load_key, parse, verify
from realmlab.attest.cbor import MAX_DEPTH, CborError, Tag, decode, diagnostic, encode_bytes, encode_text
from realmlab.attest.source import extract

VECTORS = Path(__file__).parent / "vectors"
CPAK = str(VECTORS / "sample-cpak-public.pem")
REL0 = str(VECTORS / "generated-rel0-token.cbor")
RIM = "33f7b7f582372240418a4f3f6375f960ad02b7aecf280b744dde6ab7fb14ab09"
CHALLENGE = bytes(range(64)).hex()


class TestVerifyCommand:
    """``realmlab attest verify``: 0 verified, 1 not verified, 2 bad input."""

    def test_verified(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The claims, the steps and the verdict; nothing is cut."""
        assert main(["attest", "verify", REL0, "--cpak", CPAK, "--challenge", CHALLENGE]) == 0
        output = capsys.readouterr().out
        assert output.splitlines()[-1] == "verified"
        assert RIM in output
        assert "fresh" in output

    @pytest.mark.parametrize(
        ("options", "reason"),
        [(["--cpak", CPAK, "--challenge", "00"], "challenge"), ([], "platform-signature")],
    )
    def test_not_verified(self, capsys: pytest.CaptureFixture[str], options: list[str], reason: str) -> None:
        """Status 1, with the step that failed; for people and as JSON."""
        assert main(["attest", "verify", REL0, *options]) == 1
        assert capsys.readouterr().out.splitlines()[-1].startswith(f"NOT VERIFIED: {reason}: ")
        assert main(["attest", "verify", REL0, *options, "--json"]) == 1
        data = json.loads(capsys.readouterr().out)
        assert (data["verified"], data["reason"]) == (False, reason)

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """One object with the verdict, the steps and both halves."""
        assert main(["attest", "verify", REL0, "--cpak", CPAK, "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert (data["verified"], data["reason"], data["layout"]) == (True, None, "rel0")
        assert data["realm"]["rim"] == RIM
        assert data["platform"]["components"][0]["type"] == "RSE_BL1_2"
        assert {step["result"] for step in data["steps"]} == {"passed", "skipped"}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["FOLDER/none"], "token FOLDER/none does not exist: check the path"),
            (["FOLDER/empty"], "not an empty file"),
            (["FOLDER/odd"], "two digits for each byte"),
            (["FOLDER/open"], "must end with the line"),
            ([REL0, "--cpak", "FOLDER/none"], "CPAK FOLDER/none does not exist: check the path"),
            ([REL0, "--cpak", REL0], "CPAK must be a public key in PEM"),
            ([REL0, "--challenge", "0"], "two for each byte"),
            ([REL0, "--challenge", "00" * 65], "at most 64 bytes, not 65"),
            ([REL0, "--policy", "FOLDER/none"], "policy FOLDER/none does not exist: check the path"),
            ([REL0, "--policy", "FOLDER/empty.json"], "policy FOLDER/empty.json"),
        ],
    )
    def test_bad_input(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], message: str
    ) -> None:
        """Status 2 and one line that says what it must be."""
        for name, content in (("empty", ""), ("odd", "d9018"), ("open", "-----BEGIN CCA TOKEN-----\n00\n")):
            (tmp_path / name).write_text(content)
        (tmp_path / "empty.json").write_text("")
        folder = str(tmp_path)
        assert main(["attest", "verify", *(item.replace("FOLDER", folder) for item in arguments)]) == 2
        error = capsys.readouterr().err
        assert message.replace("FOLDER", folder) in error
        assert error.count("\n") == 1

    def test_not_a_token(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Bytes that are no token are not verified, and cannot be shown."""
        (tmp_path / "bytes").write_bytes(b"\xd2\x84not a token")
        assert main(["attest", "verify", str(tmp_path / "bytes")]) == 1
        assert "NOT VERIFIED: structure: " in capsys.readouterr().out
        assert main(["attest", "show", str(tmp_path / "bytes")]) == 2


class TestOtherCommands:
    """``show`` and ``cpak``."""

    def test_show(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The claims of both layouts, for people and as JSON."""
        for name in ("generated-rel0-token.cbor", "ccatoken-legacy-token.cbor"):
            assert main(["attest", "show", str(VECTORS / name)]) == 0
            assert "secured (0x3003)" in capsys.readouterr().out
        assert main(["attest", "show", REL0, "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert data["realm"]["challenge"] == CHALLENGE

    def test_cpak(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The key of the board's machines."""
        assert main(["attest", "cpak", "--board", "virt"]) == 0
        assert capsys.readouterr().out == cpak_pem("virt")
        assert main(["attest", "cpak", "--board", "none"]) == 2


ARMOUR = (b"-----BEGIN CCA TOKEN-----", b"-----END CCA TOKEN-----")


class TestSources:
    """A token as bytes, in hex, or out of a console."""

    def test_forms(self) -> None:
        """All say the same; text around the armour does not matter."""
        token = Path(REL0).read_bytes()
        digits = token.hex().encode()
        lines = b"\n".join(digits[at : at + 64] for at in range(0, len(digits), 64))
        armour = b"-----BEGIN CCA TOKEN-----\r\n" + lines + b"\n-----END CCA TOKEN-----\n"
        for form in (token, digits, lines.upper() + b"\n", armour, b"boot\n" + armour + b"bye\n"):
            assert extract(form) == token

    @given(st.lists(st.sampled_from([*ARMOUR, b"00", b"0", b"\n", b" "]) | st.binary(max_size=8), max_size=8))
    def test_garbage(self, parts: list[bytes]) -> None:
        """Whatever a file holds: bytes or a MachineError."""
        with contextlib.suppress(MachineError):
            assert isinstance(extract(b"".join(parts)), bytes)

    def test_stdin(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """``-`` reads stdin."""
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(REL0).read_bytes())))
        assert main(["attest", "verify", "-", "--cpak", CPAK]) == 0
        assert capsys.readouterr().out


class TestCbor:
    """The strict decoder."""

    @pytest.mark.parametrize(
        ("data", "value"),
        [
            ("00", 0), ("1903e8", 1000), ("1bffffffffffffffff", 2**64 - 1), ("20", -1), ("3903e7", -1000),
            ("40", b""), ("4401020304", b"\1\2\3\4"), ("6161", "a"), ("80", []), ("83010203", [1, 2, 3]),
            ("a10102", {1: 2}), ("c11a514b67b0", Tag(1, 0x514B67B0)), ("f4", False), ("f6", None), ("f93c00", 1.0),
        ],
    )  # fmt: skip
    def test_values(self, data: str, value: Any) -> None:
        """RFC 8949, appendix A."""
        assert decode(bytes.fromhex(data)) == value

    @pytest.mark.parametrize(
        "data",
        ["", "18", "5f4101ff", "9f01ff", "bf0102ff", "0000", "a201020103", "61ff", "a1f501", "a14001",
         "f7", "f814", "f815", "f818", "fc", "1c", "9bffffffffffffffff", "5bffffffffffffffff", "bb7fffffffffffffff",
         "a1"],
    )  # fmt: skip
    def test_refused(self, data: str) -> None:
        """Truncated, indefinite, doubled keys, no UTF-8, keys of other types, reserved bits, lengths beyond the end."""
        with pytest.raises(CborError):
            decode(bytes.fromhex(data))

    def test_depth(self) -> None:
        """Nesting has a bound."""
        decode(b"\x81" * MAX_DEPTH + b"\x00")
        for opener in (b"\x81", b"\xc1", b"\xa1\x00"):
            with pytest.raises(CborError, match="nest at most"):
                decode(opener * 50_000 + b"\x00")

    @given(st.binary(max_size=300), st.text(max_size=100))
    def test_round_trip(self, data: bytes, text: str) -> None:
        """What the signed structure is built of."""
        assert decode(encode_bytes(data)) == data
        assert decode(encode_text(text)) == text

    @pytest.mark.parametrize(
        ("value", "notation"),
        [
            (1, "1"), (-1, "-1"), ("1", '"1"'), (b"\1", "h'01'"), ("h'01'", '"h\'01\'"'), (None, "null"),
            (True, "true"),            ([1, {2: "x"}], '[1, {2: "x"}]'), (Tag(7, []), "7([])"), (float("nan"), "NaN"),
            ("\x1b\x9b\"", r'"\u001b\x9b\""'),
        ],
    )  # fmt: skip
    def test_diagnostic(self, value: Any, notation: str) -> None:
        """Types are told apart, and nothing reaches a terminal that it would obey (RFC 8949, section 8)."""
        assert diagnostic(value) == notation

    @given(st.binary(max_size=64))
    def test_garbage(self, data: bytes) -> None:
        """One item or a CborError."""
        with contextlib.suppress(CborError):
            decode(data)


Run = Callable[..., bytes]


@pytest.fixture
def run_attest() -> Run:
    """The token of a run of the payload ``attest``."""

    def run(board: str = "fvp", challenge: bytes = b"", **options: Any) -> bytes:
        with realmlab.Machine(board) as machine:
            result = machine.run_realm("attest", args=(f"challenge={challenge.hex()}",), **options)
        assert result.status == 0, result.console
        return extract(result.console)

    return run


class TestRuns:
    """Tokens of whole runs."""

    @pytest.mark.parametrize(("board", "hash_algo"), [("fvp", "sha256"), ("fvp", "sha512"), ("virt", "sha256")])
    def test_verified(self, run_attest: Run, board: str, hash_algo: str) -> None:
        """The token is fresh, its key that of the board, and equal runs give equal bytes."""
        options: dict[str, Any] = {"hash_algo": hash_algo, "rpv": b"mine", "challenge": b"\x12\x34"}
        token = run_attest(board, **options)
        keys = {"CPAK": load_key(cpak_pem(board).encode())}
        report = verify(token, keys, b"\x12\x34", Policy(rpv=b"mine".hex()))
        assert report.verified, report.failure
        assert report.realm is not None
        assert report.realm["hash_algorithm"] == f"sha-{hash_algo[3:]}"
        assert run_attest(board, **options) == token
        assert run_attest(board, **{**options, "challenge": b"\x12\x35"}) != token

    def test_measured(self, run_attest: Run) -> None:
        """The RIM in the token tells the Realm's size; the platform half tells the firmware that is here."""
        from hashlib import sha256

        from cca_firmware.package.package import firmware_images

        rims = [verify(run_attest(memory=memory), development_keys()).realm["rim"] for memory in ("64M", "64M", "32M")]
        assert rims[0] == rims[1] != rims[2]
        components = verify(run_attest(), development_keys()).platform["components"]
        assert [item["measurement"] for item in components[:2]] == [
            sha256(image).digest() for image in firmware_images()
        ]

    def test_several_vcpus(self, run_attest: Run) -> None:
        """Time slices of the Host interrupt the signing, and the token is right."""
        assert parse(run_attest(vcpus=2))

    def test_runs_without_attestation_do_not_pay(self) -> None:
        """Nothing of cryptography is loaded for a payload that wants no token."""
        code = (
            "import sys; from cca_tools.cli import main; status = main(['run', 'hello', '-q']); "
            "loaded = {'cryptography', 'cbor2', 'realmlab.attest'} & set(sys.modules); sys.exit(status or str(loaded))"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
        )
        assert done.stderr.strip() == "set()"
