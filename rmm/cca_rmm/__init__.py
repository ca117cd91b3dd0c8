"""The Realm Management Monitor, RMM 1.0 (DEN0137): a Python program at R-EL2 of the machine's PEs."""

import cca_platform  # noqa: F401 (it decides between compiled modules and their sources)
