"""Settings of a campaign and of calculations, and the layers that they come from."""

PEOPLE = "none"
"""The oracle of a campaign whose labels come from people."""
