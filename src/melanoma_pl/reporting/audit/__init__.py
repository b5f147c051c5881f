"""What an audit found: on the terminal, as JSON, as a page."""
