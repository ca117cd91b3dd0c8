"""The version of Realmlab, and of the specifications it implements."""

__all__ = ["SPECIFICATIONS", "__version__"]

__version__ = "0.1.0"

SPECIFICATIONS = {
    "RMM": "1.0 (DEN0137)",
    "RMM-EL3": "0.4",
    "SMCCC": "1.2 (DEN0028)",
    "PSCI": "1.1 (DEN0022)",
    "Architecture": "Armv9-A with RME (DDI 0487)",
}
"""The interfaces that the components speak, by name."""
