"""Measuring: a module for each command of `gdlab bench`, and what they share (machine, table, torch_device)."""
