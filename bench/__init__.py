"""One file an operation or a workload: each prints a table and writes JSON."""
