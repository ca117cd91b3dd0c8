"""Device models, of the boards and of virtual machines: a base class, a module for each model, and their kinds."""
