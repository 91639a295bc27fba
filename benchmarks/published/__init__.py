"""Published figures and baselines that benchmarks compare with."""
