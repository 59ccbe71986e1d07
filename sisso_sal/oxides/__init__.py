"""Oxides: elemental values, ions, pools of candidates, structure types and structures."""
