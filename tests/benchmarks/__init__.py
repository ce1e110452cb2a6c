"""What the promises about cost are worth, measured: ``python -m tests.benchmarks``."""
