"""Unicorn as the processor: its registers, and the code of its hooks."""
