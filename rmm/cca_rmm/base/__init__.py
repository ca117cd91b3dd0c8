"""What commands and exits stand on: the RMM's own memory, rows and calls, offers and versions."""
