"""Measuring: one module for each table in benchmarks/."""
