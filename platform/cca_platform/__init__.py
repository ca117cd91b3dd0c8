"""The hardware: processing elements on Unicorn, memory with granule protection, MMU, devices, boards and time."""

from cca_platform import compiled

compiled.install()
