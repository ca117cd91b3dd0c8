"""Unicorn as the processor: its registers, and what runs inside its hooks."""
