"""Beginners' mistakes in calls to the RMM, the host and the firmware."""

import struct

from mistakes import FOREVER, OFF, Mistake, ns, realm
from realm_code import load, smc
from rmm_host import PAGE, RAM

from cca_arch.psci import Psci
from cca_arch.rsi.v1_0 import Rsi

__all__ = ["CALLS"]

_BUFFER = RAM + PAGE
_SHARED = 1 << 32
_IMMEDIATE, _WRITE = 0x524C, 1


def _calls(*calls: str) -> str:
    """Calls whose results nobody looks at; a beginner waits afterwards."""
    return "; ".join((*calls, FOREVER))


def _hello(imm: int = _IMMEDIATE) -> bytes:
    """An RsiHostCall that writes to the console."""
    return struct.pack("<4Q", imm, _WRITE, 6, int.from_bytes(b"hello\n", "little"))


CALLS = (
    Mistake(
        "hvc-instead-of-smc",
        "called PSCI by HVC in a Realm, as in a guest of KVM",
        realm(f"{load('x0', Psci.SYSTEM_OFF)}; hvc #0; {FOREVER}"),
        (r"\bHVC\b", r"\bSMC\b"),
    ),
    Mistake(
        "unknown-function",
        "mistyped the number of RSI_HOST_CALL: 0xc4001099",
        realm(_calls(smc(0xC4001099, _BUFFER))),
        (r"0xc4001099", r"unknown|not supported|NOT_SUPPORTED|no (such )?function|does not exist|not a function"),
    ),
    Mistake(
        "smc32",
        "called RSI_HOST_CALL with bit 30 clear: 0x84000199",
        realm({0: _calls(smc(Rsi.HOST_CALL & ~(1 << 30), _BUFFER)), PAGE: _hello()}),
        (r"0x84000199", r"unknown|not supported|NOT_SUPPORTED|no (such )?function|SMC32|SMC64|32-bit|64-bit|bit 30"),
    ),
    Mistake(
        "function-in-x8",
        "put the number of the function into X8, where Linux has that of a system call",
        realm(_calls(f"{load('x8', Psci.SYSTEM_OFF)}; smc #0")),
        (r"\bX0\b|0x[0-9a-f]+", r"unknown|not supported|NOT_SUPPORTED|no (such )?function|not a function|\bX0\b"),
    ),
    Mistake(
        "host-call-unaligned",
        "gave RSI_HOST_CALL a structure on the stack, aligned to 16 bytes",
        realm({0: _calls(smc(Rsi.HOST_CALL, _BUFFER + 16)), PAGE + 16: _hello()}),
        (r"HOST_CALL", r"align|256|multiple"),
    ),
    Mistake(
        "host-call-shared",
        "put the RsiHostCall into the shared half of the IPA space, since the host has to see it",
        realm(_calls(smc(Rsi.HOST_CALL, _BUFFER | _SHARED))),
        (r"HOST_CALL", r"protected|shared|outside|\bPAR\b|bound"),
    ),
    Mistake(
        "host-call-immediate",
        "left the immediate of a host call 0",
        realm({0: _calls(smc(Rsi.HOST_CALL, _BUFFER)), PAGE: _hello(0)}),
        (r"host call|HOST_CALL", r"\bimm|0x524c"),
    ),
    Mistake(
        "size-for-top",
        "gave RSI_IPA_STATE_SET base and size, instead of base and top",
        realm(_calls(smc(Rsi.IPA_STATE_SET, RAM + 0x8000, PAGE, 0, 0))),
        (r"IPA_STATE_SET", r"\btop\b|\bend\b|\bsize\b|base"),
    ),
    Mistake(
        "token-without-init",
        "called RSI_ATTESTATION_TOKEN_CONTINUE without RSI_ATTESTATION_TOKEN_INIT",
        realm(_calls(smc(Rsi.ATTESTATION_TOKEN_CONTINUE, _BUFFER, 0, PAGE))),
        (r"TOKEN_CONTINUE", r"TOKEN_INIT|ERROR_STATE|no attestation|not (been )?(started|begun|in progress)|\bstate\b"),
    ),
    Mistake(
        "mpidr-of-fvp",
        "turned the second vCPU on by the MPIDR of the second PE of the FVP, 0x100",
        realm(_calls(smc(Psci.CPU_ON_64, 0x100, RAM, 0)), "--vcpus", "2"),
        (r"CPU_ON", r"MPIDR|0x100", r"no vCPU|INVALID_PARAM|no such|does not exist|vCPU 1|not (the )?(MPIDR|one)"),
    ),
    Mistake(
        "one-vcpu",
        "turned a second vCPU on, and did not ask for one by --vcpus 2",
        realm(_calls(smc(Psci.CPU_ON_64, 1, RAM, 0))),
        (r"CPU_ON", r"--vcpus|vCPU"),
    ),
    Mistake(
        "off-by-hvc-at-el2",
        "turned the system off by HVC at EL2, which goes to the caller itself",
        ns(OFF.replace("smc", "hvc")),
        (r"\bHVC\b",),
    ),
)
