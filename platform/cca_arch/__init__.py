"""The published architecture: types, registers, descriptors, and the ABIs between the worlds."""
