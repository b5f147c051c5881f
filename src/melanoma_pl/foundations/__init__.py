"""A neural network built by hand: each formula of the presentation is a small function on tensors.

The modules of notebooks 02 to 04 use neither ``torch.nn`` nor autograd; only `backpropagation.autograd_gradient` asks
PyTorch for its own answer, for comparison. The modules of notebooks 01, 05, 06 and 08 examine the project's network.

The notation is that of M. A. Nielsen, *Neural Networks and Deep Learning*, Determination Press, 2015
(http://neuralnetworksanddeeplearning.com). The weight w^l_jk connects neuron k of layer l−1 to neuron j of layer l,
b^l_j is a bias, z^l a weighted input, a^l = σ(z^l) an activation, δ^l = ∂C/∂z^l an error, and η the learning rate.

Each module holds the figures of what it computes. In reading order, with the notebook that shows them:

- `abcd_rule`: ``notebooks/00_melanoma_and_moles.ipynb``
- `short_training`: ``notebooks/01_first_run.ipynb``
- `neurons`, `costs`, `descent`, `minibatches`: ``notebooks/02_neurons_and_descent.ipynb``
- `backpropagation`, `learning`: ``notebooks/03_back_propagation.ipynb``
- `convolution`, `layer_table`: ``notebooks/04_convolution_and_pooling.ipynb``
- `feature_maps`: ``notebooks/05_what_the_network_sees.ipynb``
- `original_errors`, `lesion_leak`: ``notebooks/06_what_went_wrong.ipynb``
- `keras_layers`: ``notebooks/08_keras_and_pytorch.ipynb``
- `display`, `moving_figures`, in all notebooks: tiles of images, the source of a function to print below its formula,
  and figures with a slider
"""
