"""Figures for notebooks, papers and reports."""
