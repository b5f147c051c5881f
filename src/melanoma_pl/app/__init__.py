"""The local web page and its JSON interface: images in, predictions out, nothing stored."""
