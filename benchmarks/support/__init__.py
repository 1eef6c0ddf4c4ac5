"""What the benchmarks share: numbers, output, the machine, processes."""
