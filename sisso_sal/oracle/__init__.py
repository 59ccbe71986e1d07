"""Who labels: a lookup table, a command, first-principles calculations; and how a machine is examined for them."""
