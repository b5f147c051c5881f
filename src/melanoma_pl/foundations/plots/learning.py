"""Pictures of back-propagation and of a network that learns."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from melanoma_pl.foundations.backpropagation import Parameters, feed_forward, propagate_back
from melanoma_pl.foundations.costs import Cost
from melanoma_pl.foundations.examples import Examples
from melanoma_pl.foundations.learning import Course
from melanoma_pl.plotting import BLUE, CYCLE, GREY, ORANGE, bare, canvas


def network_figure(parameters: Parameters, names: Sequence[str]) -> Figure:
    """Return a network as a drawing: neurons in columns, positive weights blue, negative ones orange, thick ones large.

    Args:
        parameters: The network.
        names: Of its inputs.
    """
    sizes = [parameters.weights[0].shape[1], *(len(biases) for biases in parameters.biases)]
    heights = [torch.linspace(size - 1, 1 - size, size) / 2 for size in sizes]
    figure, (ax,) = canvas(width=1.8 * len(sizes) + 1, height=2.9)
    for layer, weights in enumerate(parameters.weights):
        widths = 3 * weights.abs() / weights.abs().max()
        for j, k in torch.cartesian_prod(torch.arange(sizes[layer + 1]), torch.arange(sizes[layer])).tolist():
            ends = (float(heights[layer][k]), float(heights[layer + 1][j]))
            ax.plot((layer, layer + 1), ends, color=BLUE if weights[j, k] > 0 else ORANGE, linewidth=widths[j, k])
    for layer, places in enumerate(heights):
        ax.scatter([layer] * len(places), places, s=260, color="white", edgecolor=GREY, zorder=3)
    for place, name in zip(heights[0], names, strict=True):
        ax.annotate(name, (0, float(place)), xytext=(-14, 0), textcoords="offset points", ha="right", va="center")
    bare(ax)
    ax.set_xlim(-0.9, len(sizes) - 0.7)
    ax.set_title("  →  ".join(f"layer {number}" for number in range(1, len(sizes) + 1)), fontsize=9)
    return figure


def agreement_figure(ours: Tensor, theirs: Tensor) -> Figure:
    """Return each derivative by hand against the same by autograd, float `(P,)`: equal ones lie on the diagonal."""
    figure, (ax,) = canvas(width=3.8, height=3.6)
    reach = float(theirs.abs().max()) * 1.1
    ax.plot((-reach, reach), (-reach, reach), color=GREY, linewidth=0.8)
    ax.plot(theirs, ours, "o", color=BLUE, markersize=4, alpha=0.6)
    ax.set(xlabel="autograd", ylabel="four equations", xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_title(f"{len(ours)} derivatives", fontsize=9)
    return figure


def courses_figure(courses: dict[str, Course]) -> Figure:
    """Return the cost, the accuracy and the held-out accuracy over the epochs, a line for each named course."""
    figure, axes = canvas(3, width=3.6)
    for color, (name, course) in zip(CYCLE, courses.items(), strict=False):
        for ax, values in zip(axes, (course.cost, course.accuracy, course.held_out_accuracy), strict=True):
            ax.plot(values, color=color, label=name)
    titles = ("cost", "accuracy, moles learnt from", "accuracy, held-out moles")
    for ax, title in zip(axes, titles, strict=True):
        ax.set(title=title, xlabel="epochs")
    for ax in axes[1:]:
        ax.set_ylim(0.4, 1)
    axes[-1].legend(fontsize=8, loc="lower right")
    return figure


def error_sizes_figure(networks: list[Parameters], examples: Examples, cost: Cost) -> Figure:
    """Return how large the errors δ^l are, layer by layer, in untrained networks that differ in depth.

    Args:
        networks: Each begins a line.
        examples: What they are shown.
        cost: Where the last layer's error comes from.
    """
    figure, (ax,) = canvas(width=5.5)
    for color, parameters in zip(CYCLE, networks, strict=False):
        signals = feed_forward(parameters, examples.inputs)
        last_error = cost.output_error(signals.weighted_inputs[-1], examples.targets)
        errors = propagate_back(parameters, signals, last_error)
        layers = range(2, len(errors) + 2)
        sizes = [float((error**2).mean().sqrt()) for error in errors]
        ax.plot(layers, sizes, "o-", color=color, label=f"L = {layers[-1]}")
    ax.set(xlabel="layer l", ylabel="size of δ^l (root mean square)", yscale="log")
    ax.legend(fontsize=8)
    return figure


def moles_figure(parameters: Parameters, examples: Examples, names: Sequence[str], count: int = 300) -> Figure:
    """Return moles by their first two traits: beside what they are, what the network thinks of them.

    Args:
        parameters: The network, with one output.
        examples: Standardised traits `(N, K)`, targets `(N, 1)`.
        names: Of the traits.
        count: How many of the examples to show, from the first.
    """
    figure, axes = canvas(2, width=4.2, sharey=True)
    inputs, targets = examples.inputs[:count], examples.targets[:count, 0]
    answers = feed_forward(parameters, inputs).activations[-1][:, 0]
    for ax, values, title in zip(axes, (targets, answers), ("drawn as", "answered"), strict=True):
        traits = inputs[:, 0], inputs[:, 1]
        dots = ax.scatter(*traits, c=values, cmap="coolwarm", vmin=0, vmax=1, s=14, edgecolor=GREY, linewidth=0.3)
        ax.set(title=title, xlabel=f"{names[0]} (standardised)")
    axes[0].set_ylabel(f"{names[1]} (standardised)")
    figure.colorbar(dots, ax=axes, label="benign 0 … malignant 1")
    return figure
