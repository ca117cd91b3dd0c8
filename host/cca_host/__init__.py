"""The Non-secure host: ``kvm`` (NS-EL2: system, VMs, vCPUs, Realms) and ``kvmtool`` (the VMM that uses it)."""

import cca_platform  # noqa: F401 (it decides between compiled modules and their sources)
