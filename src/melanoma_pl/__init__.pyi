from .data.datamodule import MoleDataModule as MoleDataModule
from .models.classifier import MelanomaClassifier as MelanomaClassifier
from .models.three_conv import ThreeConvNet as ThreeConvNet
from .preprocessing import Preprocessing as Preprocessing

__version__: str
