"""Address translation: stage 1, stage 2, granule protection, and what is cached of it."""
