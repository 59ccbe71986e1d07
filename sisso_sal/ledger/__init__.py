"""The ledger of a run: its events, the database that keeps them, its lock, its repair, and the state that follows."""
