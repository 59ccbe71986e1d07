"""The machine: threads and memory, files that are never half written, progress, durations, plug-ins."""
