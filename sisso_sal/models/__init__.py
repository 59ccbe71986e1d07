"""Estimators: one SISSO model, and an ensemble of them."""
