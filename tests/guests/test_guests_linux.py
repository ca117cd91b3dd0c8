"""Debian's own kernels, unmodified, as Realms and as plain VMs; ``--linux`` boots them."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from linux_guest import linux, realmlab, typed

from cca_tools.linux import rootfs

_CLEAN = "dmesg | grep -iE 'WARNING:|BUG:|Call trace|stall|rejected|failed to' ; true"
"""What a kernel says when something is wrong."""
_PROMPT = r"# (?:\x1b\[6n)?$"
"""That of busybox, which may ask where the cursor is."""
_NONCE = "5a" * 32


class TestRealm:
    """Debian's newest kernel in a Realm."""

    @pytest.mark.parametrize("vcpus", [1, 2, 4])
    def test_boots(self, vcpus: int) -> None:
        """It knows that it is in a Realm, finds its vCPUs, and complains of nothing."""
        told = f"nproc; dmesg | grep RSI; {_CLEAN}; exit 7"
        status, out, err = linux("--vcpus", str(vcpus), "--", told)
        count, version, *rest = out.splitlines()
        assert (status, int(count), rest) == (7, vcpus, []), out + err
        assert version.endswith("RME: Using RSI version 1.0")

    def test_time(self) -> None:
        """A second of sleep is one of virtual time; a thousand processes come and go."""
        script = """
            read before rest < /proc/uptime; sleep 1; read after rest < /proc/uptime; echo $before $after
            n=0; while [ $n -lt 1000 ]; do /bin/busybox true || echo failed; n=$((n + 1)); done; echo $n"""
        status, out, err = linux("--", f"{script}; {_CLEAN}")
        times, *rest = out.splitlines()
        before, after = map(float, times.split())
        assert (status, rest) == (0, ["1000"]), out + err
        assert 1.0 <= round(after - before, 2) <= 1.1

    def test_hotplug(self) -> None:
        """A vCPU goes off and comes back by PSCI."""
        online = "/sys/devices/system/cpu/cpu1/online"
        status, out, err = linux(
            "--vcpus", "2", "--", f"echo 0 > {online}; nproc; echo 1 > {online}; nproc; taskset 2 nproc; {_CLEAN}"
        )
        assert (status, out.split()) == (0, ["1", "2", "1"]), out + err

    def test_report(self, tmp_path: Path) -> None:
        """A token that Linux has asked for, with a nonce of ours, has the measurement that was computed before."""
        words = ["linux", "--vcpus", "2", "--", "cca-report", _NONCE]
        policy, token = tmp_path / "policy.toml", tmp_path / "token.bin"
        policy.write_bytes(realmlab("measure", *words).stdout)
        token.write_bytes(realmlab(*words).stdout)
        verify = ["attest", "verify", str(token), "--policy", str(policy), "--challenge"]
        done = realmlab(*verify, _NONCE)
        assert done.returncode == 0 and re.search(rb"rim +passed", done.stdout), done.stdout
        assert realmlab(*verify, "00" * 32).returncode == 1
        other = realmlab("measure", "linux", "--vcpus", "2", "--", "cca-report", "00" * 32).stdout
        assert other != policy.read_bytes()

    def test_shell(self) -> None:
        """At a terminal there is a shell, with editing and job control, whose status counts."""
        status, screen = typed(["linux", "-q"], [(_PROMPT, b"echo $((6*7))\r"), (rf"42\s+.*{_PROMPT}", b"exit 3\r")])
        assert status == 3 and "can't access tty" not in screen, screen

    def test_pipe(self) -> None:
        """A pipe is a script; its output is all that is on stdout."""
        assert linux(text=b"echo one\nread line\nof the script\necho $line; exit 4\n")[:2] == (
            4,
            "one\nof the script\n",
        )

    def test_panic(self) -> None:
        """A guest that panics has failed, and its last words are to be seen."""
        status, out, err = linux("--", "echo c > /proc/sysrq-trigger")
        assert status not in (0, 130) and "sysrq triggered crash" in out and "panicked" in err


class TestPlain:
    """The same kernels, and older ones, as plain VMs."""

    @pytest.mark.parametrize(
        ("options", "version"),
        [([], r"[7-9]\."), (["--suite", "trixie", "--vcpus", "2"], r"6\.12\."), (["--suite", "bookworm"], r"6\.1\.")],
        ids=["newest", "trixie", "bookworm"],
    )
    def test_boots(self, options: list[str], version: str) -> None:
        """They boot to a command and turn off, without a word of a Realm."""
        status, out, err = linux("--no-realm", *options, "--", f"uname -r; dmesg | grep RSI; {_CLEAN}")
        assert status == 0 and re.fullmatch(rf"{version}\S+\n", out), out + err


@pytest.mark.skipif(rootfs._find("mke2fs") is None, reason="e2fsprogs is not installed")
class TestDisk:
    """A disk of Debian packages."""

    @pytest.mark.parametrize("transport", ["pci", "mmio"])
    def test_kept(self, tmp_path: Path, transport: str) -> None:
        """64 MB that a Realm writes to it are there at its next start, and on the host."""
        disk = tmp_path / "disk.img"
        same = ["--rootfs", str(disk), "--transport", transport, "--"]
        status, out, err = linux(*same, "head -c 64M /dev/urandom > /root/data && sync && sha256sum < /root/data")
        assert status == 0, out + err
        written = out.split()[0]
        status, out, err = linux(*same, f"sha256sum < /root/data; cat /etc/debian_version; {_CLEAN}")
        assert status == 0 and out.split()[0] == written and len(out.splitlines()) == 2, out + err
        found = tmp_path / "data"
        program = rootfs._find("debugfs")
        assert program is not None
        subprocess.run([program, "-R", f"dump /root/data {found}", str(disk)], check=True, capture_output=True)
        assert hashlib.sha256(found.read_bytes()).hexdigest() == written
