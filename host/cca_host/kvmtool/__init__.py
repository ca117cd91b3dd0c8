"""kvmtool: load a payload, build a Realm for it, run it on 1..N vCPUs with a console, and destroy it."""

from cca_host.kvmtool.options import RunOptions, RunResult
from cca_host.kvmtool.vmm import Vmm, run_realm

__all__ = ["RunOptions", "RunResult", "Vmm", "run_realm"]
