"""kvmtool: load a payload, build a Realm for it, run it on 1..N vCPUs with a console, and destroy it."""

from cca_host.kvmtool.options import Pause, RunOptions, RunReason, RunResult
from cca_host.kvmtool.run import End, Phase
from cca_host.kvmtool.saved import VmmState
from cca_host.kvmtool.vmm import Vmm, run_realm

__all__ = ["End", "Pause", "Phase", "RunOptions", "RunReason", "RunResult", "Vmm", "VmmState", "run_realm"]
