"""Keep decoded images, in memory or in a file on disk."""
