"""`realmlab lkvm run`: kvmtool's options mean the same run, and what does not exist is refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from cca_tools.cli import lkvm, main
from cca_tools.cli.run import Line
from realmlab.payloads import find_payload

HELLO = str(find_payload("hello"))


def line(*words: str) -> Line:
    """What a line of kvmtool's becomes."""
    found: list[Line] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cca_tools.cli.run.run", lambda one: found.append(one) or 0)
        assert main(["lkvm", "run", *words]) == 0
    return found[0]


class TestMapping:
    """Each option of kvmtool is one of ours."""

    def test_everything(self, tmp_path: Path) -> None:
        """Short and long forms, in one line."""
        made = line(
            "--realm", "-c", "4", "-m", "1G", "-k", HELLO, "-i", "x.cpio", "-d", "a.img,ro", "--disk", "b.img",
            "-p", "quiet  x=y", "--console", "virtio", "--network", "mode=user,hostfwd=tcp::8022-:22", "--rng",
            "--measurement-algo", "sha512", "--realm-pv", "me", "--irqchip", "gicv3", "--9p", f"{tmp_path},work",
            "--balloon", "--force-pci", "--pmu-counters", "2", "--name", "any", "-q",
        )  # fmt: skip
        assert made.payload == HELLO and made.quiet and not made.as_json
        assert made.args == ["console=hvc0", "quiet", "x=y", "root=/dev/vda", "rw"]
        assert made.given == {
            "realm": True, "vcpus": 4, "memory": 1 << 30, "initrd": Path("x.cpio"), "disks": ["a.img,ro", "b.img"],
            "console": "virtio", "network": "user,hostfwd=tcp::8022-:22", "rng": True, "hash_algo": "sha512",
            "rpv": b"me", "shares_9p": [f"{tmp_path},work"], "transport": "pci", "pmu_counters": 2, "balloon": 0,
        }  # fmt: skip

    def test_defaults(self) -> None:
        """A plain VM with one vCPU, virtio-mmio and a UART; the kernel may stand alone."""
        made = line(HELLO)
        assert (made.payload, made.args) == (HELLO, ["console=ttyS0"])
        expected = {"realm": False, "vcpus": 1, "memory": 512 << 20, "transport": "mmio", "network": "none"}
        assert {name: made.given[name] for name in expected} == expected

    @pytest.mark.parametrize(
        ("text", "size"), [("64", 64 << 20), ("64M", 64 << 20), ("65536K", 64 << 20), ("1g", 1 << 30)]
    )
    def test_memory(self, text: str, size: int) -> None:
        """A size is in MiB, unless a letter says otherwise."""
        assert line("-k", HELLO, "-m", text).given["memory"] == size

    def test_root(self) -> None:
        """A disk is the root file system, unless the arguments name one."""
        assert line("-k", HELLO, "-d", "x.img", "-p", "root=/dev/vdb").args == ["console=ttyS0", "root=/dev/vdb"]


class TestRuns:
    """The run itself, in a Realm and as a plain VM, and its measurement."""

    def test_realm(self, capfd: pytest.CaptureFixture[str]) -> None:
        """A Realm with --realm, whose measurement is what was computed; else a plain VM, which has none."""
        words = ["--realm", "-m", "64", "-k", str(find_payload("attest")), "-c", "2"]
        assert main(["measure", "lkvm", "run", *words, "--json"]) == 0
        rim = json.loads(capfd.readouterr().out)["rim"]
        same = ["--vcpus", "2", "--transport", "mmio", "--", "console=ttyS0"]
        assert main(["measure", "run", "--json", "attest", *same]) == 0
        assert json.loads(capfd.readouterr().out)["rim"] == rim
        assert main(["lkvm", "run", *words]) == 0
        assert "RMI calls" in capfd.readouterr().err
        assert main(["lkvm", "run", "-m", "64", "-k", HELLO]) == 0
        assert "RMI calls" not in capfd.readouterr().err
        assert main(["measure", "lkvm", "run", "-k", HELLO]) == 2
        assert "only a Realm is measured" in capfd.readouterr().err


class TestRefused:
    """What does not exist here."""

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--vnc"], "--vnc of kvmtool has no counterpart here: there is no screen"),
            (["--firmware=x"], "--firmware of kvmtool has no counterpart here: a kernel is started directly"),
            (["--vfio-pci", "0:0"], "--vfio-pci of kvmtool has no counterpart here: RMM 1.0 assigns no devices"),
            (["--nothing", "3"], "--nothing is no option of `lkvm run` here: see realmlab lkvm run --help"),
            (["-z"], "-z is no option of `lkvm run` here"),
            (["other"], "`lkvm run` must have one kernel, not 'other' besides it"),
            (["--mem", "x"], "--mem must be a number of MiB, or one with a letter (B, K, M, G, T), not 'x'"),
            (["--console", "hv"], "--console must be serial or virtio, not 'hv'"),
            (["--irqchip", "gicv2"], "--irqchip must be gicv3, not 'gicv2'"),
            (["--measurement-algo", "md5"], "--measurement-algo must be sha256 or sha512, not 'md5'"),
            (["--network", "mode=tap"], "--network must be user or none, not 'tap'"),
            (["--network", "mode=user,tapif=x"], "--network must have mode= and perhaps restrict= and hostfwd=, not"),
            (["--realm-pv", "x" * 65], "--realm-pv must have at most 64 bytes, not 65: shorten it"),
        ],
    )
    def test_by_name(self, words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
        """One line, that names it, and status 2."""
        assert main(["lkvm", "run", "-k", HELLO, *words]) == 2
        told = capfd.readouterr()
        assert told.err.startswith(f"realmlab: {said}") and told.err.count("\n") == 1 and not told.out

    def test_no_kernel(self, capfd: pytest.CaptureFixture[str]) -> None:
        """A kernel must be named."""
        assert main(["lkvm", "run", "--realm"]) == 2
        assert "`lkvm run` must have a kernel: give --kernel FILE" in capfd.readouterr().err

    def test_reasons(self) -> None:
        """No option that exists is said not to."""
        flags: set[Any] = {flag for name, one in lkvm._OPTIONS.items() for flag in one.flags or (one.spelling(name),)}
        assert not flags & set(lkvm._WHY)
