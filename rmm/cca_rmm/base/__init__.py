"""The base of commands and exits: the RMM's own memory, rows and calls, offers and versions."""
