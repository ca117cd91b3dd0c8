"""Unicorn as the processor, and what runs inside its hooks."""
