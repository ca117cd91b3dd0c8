"""The SDK's headers, written from the tables: ``python -m cca_tools.headers``."""
