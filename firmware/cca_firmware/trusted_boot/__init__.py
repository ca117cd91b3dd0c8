"""The chain of trust, shared by BL1 and BL2: the package, its certificates, and the image loader."""
