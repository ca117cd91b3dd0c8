"""Tools around the machine: command line, benchmarks, reference, traces."""
