"""The Realm Management Monitor, RMM 1.0 (DEN0137): R-EL2 as a Python program on the machine's PEs."""
