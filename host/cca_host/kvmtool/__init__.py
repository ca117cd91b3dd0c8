"""kvmtool: loads a payload, builds a Realm for it, runs it on 1..N vCPUs with a console, and destroys it."""

from cca_host.kvmtool.options import Pause, RunOptions, RunReason, RunResult
from cca_host.kvmtool.run import End, Phase
from cca_host.kvmtool.saved import VmmState
from cca_host.kvmtool.vmm import Vmm, run_realm

__all__ = ["End", "Pause", "Phase", "RunOptions", "RunReason", "RunResult", "Vmm", "VmmState", "run_realm"]
