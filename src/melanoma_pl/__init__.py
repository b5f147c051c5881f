"""Tell melanoma from harmless moles on photos: research software, not a medical device."""

__version__ = "0.1.0"
