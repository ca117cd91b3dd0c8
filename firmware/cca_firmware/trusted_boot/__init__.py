"""The chain of trust, which BL1 and BL2 share: the package, its certificates, and the loading of images."""
