from .classifier import MelanomaClassifier as MelanomaClassifier
from .three_conv import ThreeConvNet as ThreeConvNet
