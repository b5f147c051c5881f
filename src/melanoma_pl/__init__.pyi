from .data.datamodule import MoleDataModule as MoleDataModule
from .evaluate import evaluate_run as evaluate_run
from .models.classifier import MelanomaClassifier as MelanomaClassifier
from .models.three_conv import ThreeConvNet as ThreeConvNet
from .predict import predict_images as predict_images
from .preprocessing import Preprocessing as Preprocessing

__version__: str
