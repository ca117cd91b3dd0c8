"""The version of Realmlab: of every package here, for they are one distribution."""

from typing import Final

__all__ = ["__version__"]

__version__: Final = "0.1.0"
