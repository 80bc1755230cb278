"""Gold sets, metrics, runs, comparisons, sweeps, benchmarks and reports: what this project decides by."""
