"""Identification registers of the GIC's frames (IHI 0069, 12.1.13)."""

from typing import Final

__all__ = ["FRAME_ID", "IIDR"]

IIDR: Final = 0x43B
"""GICD_IIDR and GICR_IIDR: implementer Arm, product 0."""

FRAME_ID: Final = {
    0xFFD0: 0x44,
    0xFFE0: 0x92, 0xFFE4: 0xB4, 0xFFE8: 0x3B,  # PIDR2.ArchRev 3: GICv3
    0xFFF0: 0x0D, 0xFFF4: 0xF0, 0xFFF8: 0x05, 0xFFFC: 0xB1,
}  # fmt: skip
"""Offset to value of the peripheral and component ID registers at the end of a 64 KiB frame."""
