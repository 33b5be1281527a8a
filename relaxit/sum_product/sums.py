"""The sums that a log-partition function is made of, and what each makes of it.

With :func:`log_sum` it is the log-partition function, and its derivative the marginals. With
:func:`largest` it is the score of the best value, and its derivative that value. With
:class:`Drawn`, its derivative is a value drawn at random.

References: Goodman, "Semiring Parsing", Computational Linguistics 25 (1999); Eisner,
"Inside-Outside and Forward-Backward Algorithms Are Just Backprop", EMNLP workshop 2016.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from relaxit import noise
from relaxit.aliases import Generator

__all__ = ["Drawn", "Sum", "largest", "log_sum"]


class Sum(Protocol):
    """What stands for the sum over a dimension, of log-weights ``[..., n, ...]``."""

    def __call__(self, x: Tensor, dim: int) -> Tensor: ...


def log_sum(x: Tensor, dim: int) -> Tensor:
    """Compute the log of a sum of exponentials, ``-inf`` for nothing but ``-inf``.

    Unlike those of ``torch.logsumexp``, its first and second derivatives are finite then.

    Example:
        >>> x = torch.tensor([-torch.inf, -torch.inf], requires_grad=True)
        >>> torch.autograd.grad(log_sum(x, 0), x)[0], torch.autograd.grad(x.logsumexp(0), x)[0]
        (tensor([0., 0.]), tensor([nan, nan]))
    """
    # Written out: torch.logsumexp needs two more passes over x to be safe. A constant is subtracted
    # from all terms, so it has no derivative.
    top = x.detach().amax(dim, keepdim=True)
    top = torch.where(top > -torch.inf, top, 0.0)
    total = (x - top).exp().sum(dim)
    some = total > 0
    logs = torch.where(some, total, 1.0).log() + top.squeeze(dim)
    return torch.where(some, logs, -torch.inf)


def largest(x: Tensor, dim: int) -> Tensor:
    """Return the largest number; unlike that of ``amax``, the derivative goes to a single one.

    Example:
        >>> x = torch.zeros(3, requires_grad=True)
        >>> torch.autograd.grad(largest(x, 0), x)[0]
        tensor([1., 0., 0.])
    """
    return x.max(dim).values


class Drawn:
    """A log-sum whose derivative is one of its terms, drawn in proportion to its exponential.

    In the backward pass of a log-partition function, it draws each step given the steps after it.

    Args:
        generator: source of randomness.

    Example:
        >>> x = torch.zeros(3, requires_grad=True)
        >>> int(torch.autograd.grad(Drawn(torch.Generator())(x, 0), x)[0].sum())
        1
    """

    def __init__(self, generator: Generator = None) -> None:
        self.generator = generator

    def __call__(self, x: Tensor, dim: int) -> Tensor:
        gumbel = noise.gumbel(x.shape, dtype=x.dtype, device=x.device, generator=self.generator)
        index = (x.detach() + gumbel).argmax(dim, keepdim=True)
        term = x.gather(dim, index).squeeze(dim)
        finite = torch.where(term > -torch.inf, term, 0.0)
        return log_sum(x.detach(), dim) + (finite - finite.detach())
