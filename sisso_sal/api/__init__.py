"""The front door in Python: what the command line does, without a command line."""
