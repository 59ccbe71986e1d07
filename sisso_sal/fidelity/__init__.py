"""Cheap estimates of the target: universal potentials, their reference schemes, and columns made from their energies."""
