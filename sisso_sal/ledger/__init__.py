"""The ledger of a run: the events, the database that keeps them, its lock and its repair, the state that they amount to."""
