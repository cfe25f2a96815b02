"""Scripts that measure; see benchmarks/README.md. Not part of the installed package."""
