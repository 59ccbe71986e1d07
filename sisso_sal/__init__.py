"""Materials discovery by symbolic regression ensembles and sequential active learning."""

__version__ = "0.1.0"
