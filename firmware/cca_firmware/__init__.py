"""The firmware: trusted boot, the root monitor at EL3, its services to the RMM, and PSCI."""

import cca_platform  # noqa: F401 (it decides between compiled modules and their sources)
