"""Figures of benchmarks; they need matplotlib."""
