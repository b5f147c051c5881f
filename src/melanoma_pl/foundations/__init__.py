"""What a neural network is made of, by hand: each formula of the presentation as a small function on tensors.

The modules of notebooks 02 to 04 use neither ``torch.nn`` nor autograd; only `agreement` asks PyTorch for its own
answer, to compare. Those of 01, 05 and 06 look at the project's own network. The notation is that of M. A. Nielsen,
*Neural Networks and Deep Learning*, Determination Press, 2015 (http://neuralnetworksanddeeplearning.com): w^l_jk goes
from neuron k of layer l−1 to neuron j of layer l, b^l_j is a bias, z^l a weighted input, a^l = σ(z^l) an activation,
δ^l = ∂C/∂z^l an error, η the learning rate.

In reading order, with the notebook that shows each:

- `neurons`, `costs`, `slow_down`, `descent`, `surfaces`, `minibatches`: ``notebooks/02_neurons_and_descent.ipynb``
- `equations`, `backpropagation`, `examples`, `learning`, `agreement`: ``notebooks/03_back_propagation.ipynb``
- `convolution`, `filters`, `pooling`, `layer_table`: ``notebooks/04_convolution_and_pooling.ipynb``
- `short_training`: ``notebooks/01_first_run.ipynb``
- `feature_maps`: ``notebooks/05_what_the_network_sees.ipynb``
- `mistakes`, `choosing`, `leaks`: ``notebooks/06_what_went_wrong.ipynb``
- `plots`, `reading`: the pictures of all of them, and the lines of a function to print beside its formula.
"""
