"""The rows of the command tables, one module for each kind of object."""
