from .datamodule import MoleDataModule as MoleDataModule
from .loader import MoleFolder as MoleFolder
from .options import DataOptions as DataOptions
