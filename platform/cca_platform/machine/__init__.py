"""The machine: board, bus, clock, scheduling and snapshots."""
