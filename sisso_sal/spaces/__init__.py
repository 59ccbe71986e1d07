"""What can be chosen: spaces of candidates."""
