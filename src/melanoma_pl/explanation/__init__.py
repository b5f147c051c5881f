"""Where the network looks, and whether that says anything."""
