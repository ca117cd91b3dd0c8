"""The stream of typed events, and its sinks."""
