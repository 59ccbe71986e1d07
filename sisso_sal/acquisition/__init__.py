"""Acquisition: goals, scores of candidates, batches, fronts of two targets, proposals."""
