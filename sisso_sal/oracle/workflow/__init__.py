"""First-principles labels as Taskblaster tasks; only `repository` knows Taskblaster."""
