"""Levels of theory: what is learned from cheap ones, and which of them to compute next."""
