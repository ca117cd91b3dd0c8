"""The firmware: trusted boot, the root monitor at EL3, its services to the RMM, and PSCI."""
