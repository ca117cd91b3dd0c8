"""One module per version of the RMM, with its command tables."""
