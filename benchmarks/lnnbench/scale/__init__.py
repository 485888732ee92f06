"""The exchange of many workers, behind an emulated network: see benchmarks/scale.py."""
