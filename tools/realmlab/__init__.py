"""Realmlab's Python API."""
from .version import __version__

__all__ = ["__version__"]
