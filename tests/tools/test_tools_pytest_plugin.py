"""The pytest plugin: fixtures, markers, and the machine's story in the report of a failure."""

import os
import sys
from collections.abc import Callable

import pytest

from realmlab import pytest_plugin

pytest_plugins = "pytester"

Session = Callable[..., pytest.RunResult]


@pytest.fixture
def session(pytester: pytest.Pytester, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Runs a file of tests in a process of its own, with the plugin."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    installed = request.config.pluginmanager.has_plugin("realmlab")
    plugin = () if installed else ("-p", "realmlab.pytest_plugin")

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess(*plugin, "--strict-markers", "-W", "error", *options)

    return run


class TestMachines:
    """Machines that are there when a test starts and gone when it ends, and their story when it fails."""

    def test_realm(self, session: Session, pytester: pytest.Pytester) -> None:
        """``realm_machine`` runs Realms; markers add up, the nearest wins; only a failure is told."""
        result = session(
            """
            import pytest

            @pytest.mark.realm("hello", board="virt", clock="host", vcpus=2)
            class TestHello:
                @pytest.mark.realm(clock="virtual", trace="t.jsonl")
                def test_right(self, realm_machine):
                    assert realm_machine.platform.board.name == "virt"
                    assert realm_machine.platform.clock.mode == "virtual"
                    assert realm_machine.run_realm("hello").status == 0

                def test_live(self, realm, realm_machine):
                    assert len(realm.vcpus) == 2 and realm.expect("Hello")
                    assert realm_machine.realms == (realm,)

            def test_none(realm):
                pass

            def test_wrong(realm_machine):
                assert realm_machine.run_realm("hello").status == 1
            """
        )
        result.assert_outcomes(passed=2, failed=1, errors=1)
        result.stdout.fnmatch_lines(["*realm must have a payload: mark the test with @pytest.mark.realm*"])
        told = ["*Realmlab: machine*", "*last 20 events*", "*run.stop*", "*console*", "*Hello from Realm EL1*"]
        result.stdout.fnmatch_lines(told)
        assert str(result.stdout).count("Realmlab: machine") == 2  # of the failure, and of the error
        assert '"run.stop"' in (pytester.path / "t.jsonl").read_text().splitlines()[-1]

    def test_ns(self, session: Session) -> None:
        """``ns_machine`` has the images of the marker; a console that stands at a prompt is told, too."""
        result = session(
            """
            import pytest

            @pytest.mark.ns("ns_gpf")
            def test_gpf(ns_machine):
                assert ns_machine.expect(r"(\\d+) wrong")[1] == "0"

            @pytest.mark.ns("ns_gpf")
            def test_prompt(ns_machine):
                ns_machine.expect("ns_gpf: 0")
                assert False

            def test_none(ns_machine):
                pass
            """
        )
        result.assert_outcomes(passed=1, failed=1, errors=1)
        result.stdout.fnmatch_lines(["*ns_machine must have images: mark the test with @pytest.mark.ns*"])
        result.stdout.fnmatch_lines(["*console uart0*", "ns_gpf: 0"])

    def test_untouched(self, session: Session) -> None:
        """Tests without a machine are reported as ever, and the plugin loads nothing for them."""
        result = session(
            """
            import sys

            def test_light():
                assert not {"numba", "unicorn", "cca_platform.machine"} & set(sys.modules)

            def test_wrong():
                assert False
            """
        )
        result.assert_outcomes(passed=1, failed=1)
        assert "Realmlab" not in str(result.stdout)

    def test_markers(self, request: pytest.FixtureRequest) -> None:
        """``pytest --markers`` has the markers."""
        config = request.config
        if not config.pluginmanager.has_plugin("realmlab"):
            pytest_plugin.pytest_configure(config)
        names = {line.partition("(")[0] for line in config.getini("markers")}
        assert {"realm", "ns"} <= names
