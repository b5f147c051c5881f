"""Pictures of a training's course."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from melanoma_pl.plotting import BLUE, ORANGE, canvas

SPLITS = (("train", "training", BLUE), ("val", "validation", ORANGE))


def curves_figure(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Return loss and accuracy over the epochs, on training and on validation photos.

    Args:
        rows: One an epoch, as the epoch log keeps them.
    """
    figure, axes = canvas(2, width=3.8, height=2.7)
    epochs = [row["epoch"] for row in rows]
    for ax, figure_name in zip(axes, ("loss", "accuracy"), strict=True):
        for split, label, color in SPLITS:
            ax.plot(
                epochs, [row[f"{split}/{figure_name}"] for row in rows], "o-", markersize=3, color=color, label=label
            )
        ax.set(title=figure_name, xlabel="epoch", xticks=epochs)
    axes[0].legend(fontsize=8)
    return figure
