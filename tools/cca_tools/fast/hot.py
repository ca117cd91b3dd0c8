"""The modules that are worth compiling: what a call to the RMM, an exit of a Realm or a run of the host passes through.

A module with native functions of its own stays Python: numba compiles those. So do the rows of the command tables'
base and what is called once for a machine.
"""

from typing import Final

__all__ = ["MODULES"]

_PACKAGES: Final = {
    "cca_platform": "clock",
    "cca_platform.engine": "engine tlb",
    "cca_platform.gic": "cpu distributor gic interrupts priorities redistributor sysregs virtual",
    "cca_platform.machine": "bus events scheduler",
    "cca_platform.memory": "dram memory ports",
    "cca_platform.pe": "aborts controls delivery events exceptions levels mmio net pe pmu recent refused running traps",
    "cca_platform.trace": "trace",
    "cca_firmware.bl31": "attestation contexts gpts monitor rmmd",
    "cca_rmm": "rmm",
    "cca_rmm.base": "core",
    "cca_rmm.commands": "attestation calls conditions data granule psci realm rec rec_enter ripas rsi rtt "
    "service_memory",
    "cca_rmm.extensions": "keys paging sealing",
    "cca_rmm.objects": "granule measurement realm rec rtt words",
    "cca_rmm.world": "el2 enter exceptions exit gic injection mmio pmu realm_memory services syndrome timers",
    "cca_host.kvm": "cpu exits guest handle_exit kernel pages realm rec runpage stage2 system vcpu vgic vm",
    "cca_host.kvm.plain": "calls cpu guest stage2 trapped vcpu vm",
    "cca_host.kvmtool": "console run schedule threads vmm",
}

MODULES: Final = tuple(f"{package}.{name}" for package, names in _PACKAGES.items() for name in names.split())
"""By their dotted names."""
