from .datamodule import MoleDataModule as MoleDataModule
