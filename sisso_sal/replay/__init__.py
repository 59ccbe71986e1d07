"""Simulated campaigns on a table whose labels are all known, and their figures of merit."""
