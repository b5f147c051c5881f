"""What must be said where a person reads a result."""

DISCLAIMER = "Research software: no medical device, no diagnosis."
