"""The discovery loop: a ledger of events, and one step that repeats."""
