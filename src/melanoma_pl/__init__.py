"""Tell melanoma from benign moles in images: research software, not a medical device."""

import lazy_loader

__version__ = "0.2.0"

# PyTorch and Lightning take seconds to import, and the commands must start without them
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
