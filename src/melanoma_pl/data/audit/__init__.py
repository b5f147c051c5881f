"""What is wrong with a set of photos before anyone trains on it: leaks, conflicts, labels that give themselves away."""
