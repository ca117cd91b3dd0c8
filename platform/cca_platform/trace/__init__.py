"""The stream of typed events, and where it goes."""
