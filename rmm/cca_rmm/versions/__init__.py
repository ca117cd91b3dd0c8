"""One module for each version of the RMM: its command tables."""
