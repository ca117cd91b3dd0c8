"""The published architecture: types, registers, descriptors, and the ABIs through which the worlds meet."""
