"""What the benchmarks are made of: jobs, contenders, the machine's facts and the report."""
