"""Networks, and the LightningModule that trains them."""

import lazy_loader

# PyTorch and Lightning take seconds to import, and the commands must start without them
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
