"""Descriptors that the architecture keeps in memory: translation tables and granule protection tables."""
