"""Mutants: small defects planted one at a time, and whether the tests see them. ``make mutants`` runs a sample.

The sample is fixed by a hash of each mutant's name, so that a change of one function replaces only that function's
mutants. ``equivalent.toml`` names the mutants that change nothing that can be observed, with the reason.
"""
