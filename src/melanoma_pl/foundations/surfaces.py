"""Two surfaces of two variables to walk down: a valley, and the cost of one neuron."""

from dataclasses import dataclass

import torch
from torch import Tensor

from melanoma_pl.foundations.costs import cross_entropy_output_error
from melanoma_pl.foundations.neurons import sigmoid


@dataclass(frozen=True)
class Valley:
    """The surface C(v₁, v₂) = (c₁ v₁² + c₂ v₂²) / 2: a valley along v₁ where c₁ < c₂, lowest at (0, 0).

    One step of descent multiplies v_i by 1 − η c_i. So η < 2 / c₂ is needed to come closer at all: larger steps leap
    from wall to wall and climb. And where c₂ is far above c₁, even the largest such η is slow along the valley's floor.

    Attributes:
        curvatures: c₁ and c₂, > 0.
    """

    curvatures: tuple[float, float] = (1.0, 8.0)

    def cost(self, positions: Tensor) -> Tensor:
        """Return C, float `(…)`, at positions, float `(…, 2)`."""
        return (positions.new_tensor(self.curvatures) * positions**2).sum(dim=-1) / 2

    def gradient(self, positions: Tensor) -> Tensor:
        """Return ∇C = (c₁ v₁, c₂ v₂), float `(…, 2)`, at positions of that shape."""
        return positions.new_tensor(self.curvatures) * positions


@dataclass(frozen=True)
class OneNeuron:
    """The cross-entropy of one sigmoid neuron, a = σ(w x + b), as a surface over (w, b).

    Attributes:
        inputs: x, float `(N,)`: one number an example.
        targets: y, float `(N,)`, 0 or 1.
    """

    inputs: Tensor
    targets: Tensor

    def cost(self, positions: Tensor) -> Tensor:
        """Return C, float `(…)`, at positions (w, b), float `(…, 2)`."""
        z = positions[..., :1] * self.inputs + positions[..., 1:]  # (…, N)
        softplus = torch.logaddexp(z, torch.zeros_like(z))
        return (softplus - self.targets * z).mean(dim=-1)

    def gradient(self, position: Tensor) -> Tensor:
        """Return ∇C = (mean of δ x, mean of δ), float `(2,)`, over all examples."""
        return self.gradients(position).mean(dim=0)

    def gradients(self, position: Tensor) -> Tensor:
        """Return each example's ∇C_x = (δ x, δ), float `(N, 2)`, at the position (w, b), float `(2,)`."""
        error = cross_entropy_output_error(position[0] * self.inputs + position[1], self.targets)  # (N,)
        return torch.stack([error * self.inputs, error], dim=1)

    def only(self, indices: Tensor) -> "OneNeuron":
        """Return the surface that the examples at `indices`, int64 `(M,)`, alone would give."""
        return OneNeuron(self.inputs[indices], self.targets[indices])

    def accuracy(self, position: Tensor) -> float:
        """Return the share of examples on the right side of 1/2, between 0 and 1, at the position (w, b)."""
        answers = sigmoid(position[0] * self.inputs + position[1]) > 0.5
        return float((answers == (self.targets > 0.5)).double().mean())
