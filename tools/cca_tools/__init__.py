"""Tools for the machine: command line, benchmarks, reference, traces."""
