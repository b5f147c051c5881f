"""Gradient descent: small moves that lower a cost, shown on a valley of two variables.

The module follows Nielsen, *Neural Networks and Deep Learning*, chapter 1. For a small move Δv,

    ΔC ≈ ∂C/∂v₁ Δv₁ + ∂C/∂v₂ Δv₂ = ∇C · Δv.

The choice Δv = −η ∇C gives ΔC ≈ −η ‖∇C‖² ≤ 0, so the cost falls if η is small enough for the approximation to hold.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from melanoma_pl.foundations.display import canvas
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, GREY, ORANGE

Range = tuple[float, float]


def predicted_change(gradient: Tensor, move: Tensor) -> Tensor:
    """Return ΔC ≈ ∇C · Δv, float `()`, for a gradient and a small move, both `(D,)`."""
    return torch.dot(gradient, move)


def predicted_descent(gradient: Tensor, learning_rate: float | Tensor) -> Tensor:
    """Return ΔC ≈ −η ‖∇C‖², ≤ 0, in the shape of η: the predicted change of the cost by one step of descent."""
    return -learning_rate * (gradient**2).sum()


def descent_step(position: Tensor, gradient: Tensor, learning_rate: float) -> Tensor:
    """Return v − η ∇C.

    Args:
        position: v, float, any shape.
        gradient: ∇C at v, the same shape.
        learning_rate: η, > 0.

    Returns:
        The next position, the same shape.
    """
    return position - learning_rate * gradient


def descend(gradient: Callable[[Tensor], Tensor], start: Tensor, learning_rate: float, steps: int) -> Tensor:
    """Return the path of gradient descent: the start and the position after each step.

    Args:
        gradient: ∇C as a function of the position.
        start: v, float `(D,)`.
        learning_rate: η, > 0.
        steps: Number of steps.

    Returns:
        float `(steps + 1, D)`.
    """
    path = [start]
    for _ in range(steps):
        path.append(descent_step(path[-1], gradient(path[-1]), learning_rate))
    return torch.stack(path)


def real_changes(cost: Callable[[Tensor], Tensor], gradient: Tensor, position: Tensor, rates: Tensor) -> Tensor:
    """Return C(v − η ∇C) − C(v) for each of several learning rates, to compare with `predicted_descent`.

    Args:
        cost: Function from positions `(…, D)` to C `(…)`.
        gradient: ∇C at the position, float `(D,)`.
        position: v, float `(D,)`.
        rates: Learning rates η, float `(E,)`.

    Returns:
        float `(E,)`.
    """
    moved = position - rates[:, None] * gradient  # (E, D)
    return cost(moved) - cost(position)


@dataclass(frozen=True)
class Valley:
    """The surface C(v₁, v₂) = (c₁ v₁² + c₂ v₂²) / 2: for c₁ < c₂ a valley along v₁, lowest at (0, 0).

    One step of descent multiplies v_i by 1 − η c_i. Descent therefore converges only for η < 2 / c₂; larger steps jump
    from one wall to the other and climb. If c₂ is much larger than c₁, even the largest such η is slow along the floor.

    Attributes:
        curvatures: c₁ and c₂, > 0.
    """

    curvatures: tuple[float, float] = (1.0, 8.0)

    def cost(self, positions: Tensor) -> Tensor:
        """Return C, float `(…)`, at positions, float `(…, 2)`."""
        return (positions.new_tensor(self.curvatures) * positions**2).sum(dim=-1) / 2

    def gradient(self, position: Tensor) -> Tensor:
        """Return ∇C = (c₁ v₁, c₂ v₂), float `(2,)`, at a position, float `(2,)`."""
        return position.new_tensor(self.curvatures) * position


def draw_surface(ax: Axes, cost: Callable[[Tensor], Tensor], across: Range, up: Range) -> None:
    """Shade the plane of two variables by a cost, white where it is lowest.

    Args:
        ax: Axes to draw on.
        cost: Function from positions, float64 `(81, 81, 2)`, to C `(81, 81)`.
        across: Smallest and largest value of the first variable.
        up: Smallest and largest value of the second variable.
    """
    grid = torch.meshgrid(torch.linspace(*across, 81), torch.linspace(*up, 81), indexing="xy")
    first, second = (values.double() for values in grid)
    heights = cost(torch.stack([first, second], dim=-1))
    ax.contourf(first, second, heights, levels=12, cmap="Greys", vmax=2 * float(heights.max()), antialiased=False)
    ax.set(xlim=across, ylim=up)


def draw_path(ax: Axes, path: Tensor, color: str) -> None:
    """Draw a path, float `(steps + 1, 2)`, with a ring at the start and, on short paths, a dot at each position."""
    long = len(path) > 100
    ax.plot(path[:, 0], path[:, 1], "-" if long else "o-", color=color, markersize=3, linewidth=0.5 if long else 1.2)
    ax.plot(*path[0], "o", color=color, markersize=9, markerfacecolor="none")


def descents_figure(learning_rates: list[float], steps: int = 20) -> Figure:
    """Draw the paths down a valley for several learning rates, and the cost along each path."""
    valley, start = Valley(), torch.tensor([-8.0, 2.0], dtype=torch.float64)
    figure, axes = canvas(2, height=2.8 * (len(learning_rates) // 2 + 1), rows=len(learning_rates) // 2 + 1)
    for ax, color, rate in zip(axes, CYCLE, learning_rates, strict=False):
        path = descend(valley.gradient, start, rate, steps)
        draw_surface(ax, valley.cost, (-10, 10), (-4, 4))
        draw_path(ax, path, color)
        ax.set(title=f"η = {rate:g}", xlabel="v₁", ylabel="v₂")
        axes[-1].plot(valley.cost(path), color=color, label=f"η = {rate:g}")
    axes[-1].set(title="cost along the path", xlabel="steps", yscale="log", xticks=range(0, steps + 1, 5))
    axes[-1].legend(fontsize=8)
    return figure


def learning_rate_figure(learning_rate: float, steps: int = 20, start: tuple[float, float] = (-8.0, 2.0)) -> Figure:
    """Draw the path down a valley for one learning rate, and the cost along it; the scales are the same for all rates.

    Args:
        learning_rate: η, > 0.
        steps: Number of steps.
        start: (v₁, v₂) before the first step.
    """
    valley = Valley()
    path = descend(valley.gradient, torch.tensor(start, dtype=torch.float64), learning_rate, steps)
    figure, (plane, course) = canvas(2, height=3.2)
    draw_surface(plane, valley.cost, (-10, 10), (-4, 4))
    draw_path(plane, path, BLUE)
    plane.set(title=f"η = {learning_rate:g}", xlabel="v₁", ylabel="v₂", xticks=range(-10, 11, 5))
    cost = valley.cost(path)
    course.plot(cost, "o-", markersize=3, color=BLUE)
    course.axhline(float(cost[0]), color=GREY, linewidth=0.8, linestyle=":")
    course.set(title=f"cost after {steps} steps: {cost[-1]:.3g}", xlabel="steps", ylabel="C", yscale="log")
    course.set(ylim=(1e-3, 1e3), xticks=range(0, steps + 1, 5))
    return figure


def predicted_descent_figure(position: Tensor, largest: float) -> Figure:
    """Draw the real change ΔC of one step in a valley and its prediction −η‖∇C‖² over the learning rate.

    Args:
        position: Position before the step, float64 `(2,)`.
        largest: The largest η; the smallest is 0.
    """
    rates = torch.linspace(0, largest, 101, dtype=torch.float64)
    gradient = Valley().gradient(position)
    figure, (ax,) = canvas(width=5.5)
    ax.plot(rates, real_changes(Valley().cost, gradient, position, rates), color=BLUE, label="real ΔC")
    ax.plot(rates, predicted_descent(gradient, rates), color=ORANGE, linestyle="--", label="predicted: −η‖∇C‖²")
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set(xlabel="learning rate η", ylabel="change of the cost")
    ax.legend(fontsize=8)
    return figure
