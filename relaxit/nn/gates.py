r"""Hard-concrete gates: stretched, clamped binary Concrete variables, for L0 regularisation.

A gate is z = clamp(s (r - l) + l, 0, 1), where s is a binary Concrete variable with logit a and
temperature tau, and (l, r) with l < 0 and r > 1 is the stretch. It is exactly 0 and exactly 1 with
positive probability, and has a pathwise gradient. For 0 <= t < 1,

    P(z > t) = sigmoid(a - tau log((t - l) / (r - t))),

from which all quantities below follow. The mean is the integral of this probability over t from 0
to 1, which has no closed form; the Gauss-Legendre rule gives it to rounding.

Reference: Louizos, Welling, Kingma, "Learning Sparse Neural Networks through L0 Regularization",
arXiv:1712.01312, section 2.2 and equations 10 to 13.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from relaxit.arguments import floating
from relaxit.arithmetic import without_autocast
from relaxit.dtypes import compute_dtype
from relaxit.errors import ConfigurationError, ShapeError
from relaxit.nn.relax import Relax
from relaxit.nn.tempered import Tempered
from relaxit.shapes import as_size

__all__ = ["HardConcreteGates"]

_NODES, _WEIGHTS = (x.tolist() for x in np.polynomial.legendre.leggauss(64))


class HardConcreteGates(Tempered):
    """Multiply features by gates that are learned to be exactly 0 where a feature is not needed.

    In training mode gates are sampled, in evaluation mode they are those of
    :meth:`deterministic_gates`. Add a multiple of :meth:`expected_l0` to the loss.

    Args:
        shape: shape of the gates, an int or several; one logit each, all initially equal.
        temperature: positive number, kept in a buffer; see :meth:`set_temperature`. The
            probabilities of open gates depend on it.
        stretch: interval that gates are stretched to before they are clamped to [0, 1].
        open_probability: initial probability that a gate is not exactly 0.
        dim: dimension of the input at which the gates begin; the last ones if None. Use ``dim=1``
            for one gate per channel of ``[batch, channels, height, width]``.
        per_example: whether each index of the dimensions before ``dim`` has noise of its own, which
            gives gradients of a smaller variance. The paper draws one set of gates for each batch.
        generator: source of randomness.
        device, dtype: those of the logits.

    Raises:
        ShapeError: if there is no gate.
        ConfigurationError: if the stretch does not contain [0, 1] in its interior, or the
            probability is not between 0 and 1.
        DomainError: if the temperature is not finite and positive.

    Example:
        >>> import torch
        >>> gates = HardConcreteGates(3, open_probability=0.9)
        >>> gates(torch.ones(5, 3)).shape, gates.expected_l0()
        (torch.Size([5, 3]), tensor(2.7000, grad_fn=<SumBackward0>))
        >>> gates.eval()(torch.ones(5, 3))[0]
        tensor([0.6744, 0.6744, 0.6744], grad_fn=<SelectBackward0>)
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        temperature: float = 2 / 3,
        *,
        stretch: tuple[float, float] = (-0.1, 1.1),
        open_probability: float = 0.5,
        dim: int | None = None,
        per_example: bool = True,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.shape = as_size(shape)
        if not self.shape or min(self.shape) < 1:
            raise ShapeError(f"HardConcreteGates: shape {list(self.shape)} has no gates")
        left, right = stretch
        if not -math.inf < left < 0 or not 1 < right < math.inf:
            raise ConfigurationError(
                f"HardConcreteGates: stretch must begin below 0 and end above 1, got {stretch}"
            )
        if not 0 < open_probability < 1:
            raise ConfigurationError(
                f"HardConcreteGates: open_probability must be in (0, 1), got {open_probability}"
            )
        self.stretch = (float(left), float(right))
        self.dim = dim
        self.per_example = per_example
        self.relax = Relax("binary", temperature, generator=generator)
        self.initial = float(open_probability), float(temperature)
        self.logits = nn.Parameter(torch.empty(self.shape, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all logits to the value that gives the initial probability."""
        p, temperature = self.initial
        nn.init.constant_(self.logits, math.log(p) - math.log1p(-p) + temperature * self._odds(0.0))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply features by gates.

        Args:
            x: features ``[*batch, *shape, *rest]`` of a floating-point dtype, with the gates at
                ``dim``. A gate is the same for all indices of the dimensions after it.

        Raises:
            ShapeError: if the dimensions do not have the sizes of the gates.
        """
        floating("HardConcreteGates", "features", x)
        rank = len(self.shape)
        first = -rank if self.dim is None else self.dim
        first = first + x.dim() if first < 0 else first
        if first < 0 or x.shape[first : first + rank] != self.shape:
            raise ShapeError(
                f"HardConcreteGates: features must have the sizes {list(self.shape)} at dimension "
                f"{first}, got {list(x.shape)}"
            )
        gates = self.values(x.shape[:first] if self.per_example else ())
        trailing = x.dim() - first - rank
        return x * gates.reshape(*gates.shape, *(1,) * trailing).to(x.dtype)

    def values(self, batch_shape: int | Sequence[int] = ()) -> Tensor:
        """Return gates ``[*batch_shape, *shape]`` in [0, 1], sampled in training mode only."""
        batch = as_size(batch_shape)
        if not self.training:
            return self.deterministic_gates().expand(*batch, *self.shape)
        soft = self.relax(self.logits.expand(*batch, *self.shape))
        return self._stretched(soft)

    def deterministic_gates(self) -> Tensor:
        """Return the gates ``[*shape]`` for evaluation: those without noise, at temperature 1.

        A gate is exactly 0 if its logit is at most ``log(-l / r)``, where (l, r) is the stretch.

        Reference: arXiv:1712.01312, equation 13.
        """
        return self._stretched(self.logits.sigmoid())

    def open_probability(self) -> Tensor:
        """Return the probability ``[*shape]`` that a sampled gate is not exactly 0.

        Reference: arXiv:1712.01312, equation 12.
        """
        return self._exceeds(0.0)

    def zero_probability(self) -> Tensor:
        """Return the probability ``[*shape]`` that a sampled gate is exactly 0."""
        return self._exceeds(0.0, -1.0)

    def one_probability(self) -> Tensor:
        """Return the probability ``[*shape]`` that a sampled gate is exactly 1."""
        return self._exceeds(1.0)

    def expected_l0(self) -> Tensor:
        """Return the expected number of gates that are not exactly 0, a 0-dim tensor.

        Where a gate removes w weights, weight the sum of :meth:`open_probability` by w instead.
        """
        return self.open_probability().sum()

    def expected_value(self) -> Tensor:
        """Return the mean ``[*shape]`` of a sampled gate, exact to rounding."""
        with without_autocast(self.logits):
            logits = self.logits.to(compute_dtype(self.logits.dtype)).unsqueeze(-1)
            odds = logits.new_tensor([self._odds((t + 1) / 2) for t in _NODES])
            exceeds = (logits - self.temperature.to(logits.dtype) * odds).sigmoid()
            return (exceeds * logits.new_tensor(_WEIGHTS)).sum(-1) / 2

    def extra_repr(self) -> str:
        return f"{list(self.shape)}, stretch={self.stretch}, per_example={self.per_example}"

    def _stretched(self, soft: Tensor) -> Tensor:
        left, right = self.stretch
        return (soft * (right - left) + left).clamp(0.0, 1.0)

    def _odds(self, threshold: float) -> float:
        """Return ``log((t - l) / (r - t))``, the logit at which an unclamped gate is t."""
        left, right = self.stretch
        return math.log(threshold - left) - math.log(right - threshold)

    def _exceeds(self, threshold: float, sign: float = 1.0) -> Tensor:
        """Return the probability that an unclamped gate exceeds a number; for sign -1, does not."""
        with without_autocast(self.logits):
            dtype = compute_dtype(self.logits.dtype)
            tau = self.temperature.to(dtype)
            return (sign * (self.logits.to(dtype) - tau * self._odds(threshold))).sigmoid()
