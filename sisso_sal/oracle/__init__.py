"""Who labels: a lookup table, a command, first-principles calculations; and checks of the machine that they run on."""
