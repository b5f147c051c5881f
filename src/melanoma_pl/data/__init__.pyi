from .datamodule import MoleDataModule as MoleDataModule
from .mole_folder import MoleFolder as MoleFolder
from .options import DataOptions as DataOptions
