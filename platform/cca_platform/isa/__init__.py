"""The instruction set: decoders, the accesses they describe, register files, PSTATE."""
