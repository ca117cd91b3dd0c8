"""Folders of the host that a guest mounts: one backend, and the protocols FUSE (virtiofs) and 9P2000.L."""
