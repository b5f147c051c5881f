"""Audit a dataset before training: leaks between splits, conflicting labels, shortcuts to the label."""
