"""Address translation: stage 1, stage 2 and granule protection."""
