"""Sure-independence screening and L0 regression for many problems in one pass; knows arrays only."""
