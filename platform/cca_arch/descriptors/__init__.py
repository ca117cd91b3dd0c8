"""Descriptors in memory: translation tables and granule protection tables."""
