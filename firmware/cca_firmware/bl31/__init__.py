"""The root monitor and its services, resident at EL3."""
