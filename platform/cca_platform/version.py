"""The version of Realmlab: of every package here, for they are one distribution."""

__all__ = ["__version__"]

__version__ = "0.1.0"  # as the build reads it: without a type
