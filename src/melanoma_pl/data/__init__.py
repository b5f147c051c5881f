"""Read images from disk and serve them as batches of pixels."""

import lazy_loader

# PyTorch and Lightning take seconds to import, and the commands must start without them
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
