"""The version of Realmlab."""

from cca_platform.version import __version__

__all__ = ["__version__"]
