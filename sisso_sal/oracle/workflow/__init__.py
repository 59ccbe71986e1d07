"""First-principles labels as Taskblaster tasks; nothing else imports taskblaster."""
