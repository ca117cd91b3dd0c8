"""Realmlab's extensions of the RMM, off unless the boot asks for them: see :mod:`cca_arch.extensions`."""
