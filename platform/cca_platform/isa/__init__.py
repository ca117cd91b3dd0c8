"""Instructions and registers: decoders, the accesses they describe, register files."""
