"""Calculations that a group has done already: what they are, which have equal settings, and the labels that follow."""
