"""`realmlab measure`: what a Realm will be measured as, before it runs."""

import json
import tomllib
from pathlib import Path

import pytest

from cca_tools.cli import main


def measured(words: list[str], capfd: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What `measure` prints as JSON."""
    assert main(["measure", "run", "--json", *words]) == 0
    found: dict[str, str] = json.loads(capfd.readouterr().out)
    return found


class TestMeasure:
    """The measurement of a run's inputs."""

    @pytest.mark.parametrize(
        "options",
        [
            [],
            ["--vcpus", "2", "--memory", "128M"],
            ["--hash-algo", "sha512", "--rpv", "00ff"],
            ["--pmu", "--", "quiet"],
        ],
        ids=" ".join,
    )
    def test_equals_the_token(self, options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The policy that it prints verifies a token from the Realm: RIM and RPV are those of the run."""
        assert main(["measure", "run", "attest", *options]) == 0
        policy = tmp_path / "policy.toml"
        policy.write_text(capfd.readouterr().out)
        assert set(tomllib.loads(policy.read_text())) == {"rim", "rpv"}
        assert main(["run", "attest", "-q", *options]) == 0
        token = tmp_path / "token.txt"
        token.write_text(capfd.readouterr().out)
        assert main(["attest", "verify", str(token), "--policy", str(policy)]) == 0

    def test_depends(self, capfd: pytest.CaptureFixture[str]) -> None:
        """What goes into the Realm counts, what only watches it does not."""
        rim = measured(["hello"], capfd)["rim"]
        same = ["--max-insns", "1", "--timeout", "9", "-q", "--console-input", "-", "--trace", "none/x"]
        assert measured(["hello", *same], capfd)["rim"] == rim
        for other in (["idle"], ["hello", "--vcpus", "2"], ["hello", "--memory", "65M"], ["hello", "--", "x"]):
            assert measured(other, capfd)["rim"] != rim
        told = measured(["hello", "--hash-algo", "sha512", "--rpv", "ff"], capfd)
        assert (len(told["rim"]), told["hash_algo"], told["rpv"][:4]) == (128, "sha512", "ff00")

    def test_refused(self, capfd: pytest.CaptureFixture[str]) -> None:
        """What cannot be run cannot be measured."""
        assert main(["measure", "run", "helo"]) == 2
        assert "payload must be a file or the name" in capfd.readouterr().err
        assert main(["measure", "run", "hello", "--memory", "1M"]) == 2
        assert "--memory must be at least 4M" in capfd.readouterr().err
