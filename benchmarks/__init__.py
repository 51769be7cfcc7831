"""Measurements of hashnet and of other systems on the same questions; see benchmarks/README.md."""
