"""The Non-secure host: ``kvm`` (NS-EL2: system, VMs, vCPUs, Realms) and ``kvmtool`` (the VMM that uses it)."""
