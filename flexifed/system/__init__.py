"""Errors, files, locks, logs and what the machine is: things that no number depends on."""
