"""Device models of boards and virtual machines: a base class, a module per model, and their kinds."""
