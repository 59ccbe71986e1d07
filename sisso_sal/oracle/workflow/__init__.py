"""First-principles labels as Taskblaster tasks; only `repository` and `fenced` know Taskblaster."""
