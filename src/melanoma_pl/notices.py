"""What must be said where a person reads a result."""

DISCLAIMER = "Research software: no medical device, no diagnosis."
SYNTHETIC = "Synthetic photos, drawn by a program: these figures say nothing about patients."
