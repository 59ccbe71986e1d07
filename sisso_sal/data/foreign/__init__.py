"""Inputs of other SISSO programs."""
