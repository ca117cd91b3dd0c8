"""The Secure world: a payload at S-EL1, and FF-A."""
