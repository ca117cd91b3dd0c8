"""The outside world of a guest's network card: a small NAT, which needs no privilege, and what stands behind it."""
