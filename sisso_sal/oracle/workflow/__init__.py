"""First-principles labels as Taskblaster tasks; `repository` and `fenced` alone import taskblaster."""
