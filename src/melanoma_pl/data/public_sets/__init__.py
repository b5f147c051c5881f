"""Public datasets of mole images: from the download of each to one layout and one metadata table."""
