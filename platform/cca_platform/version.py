"""The version of Realmlab, shared by all packages of the distribution."""

__all__ = ["__version__"]

__version__ = "0.1.0"  # as the build reads it: without a type
