"""The rows of the command tables, one module per kind of object."""
