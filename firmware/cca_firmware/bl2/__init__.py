"""Trusted boot: the package, the chain of trust, and the loading of images."""
