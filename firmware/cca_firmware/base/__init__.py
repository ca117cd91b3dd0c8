"""Shared by the boot stages: images, their locations, and the hand-over from one stage to the next."""
