"""Tables of candidates and their columns, and inputs of other SISSO programs."""
