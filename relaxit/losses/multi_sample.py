r"""Multi-sample objectives: importance-weighted bounds on a log-likelihood.

With K independent samples z_k of q and weights w(z) = p(x, z) / q(z),

    L_K = E log 1/K sum_k w(z_k)

is a lower bound on log p(x) that grows with K; L_1 is the ELBO. Its gradient is estimated through
soft samples (:func:`iwae_loss`), or from hard ones by the score function (:func:`vimco_loss`).

They are losses, not estimators. An estimator can be exchanged for another one in every task
because each of them estimates the gradient of the same quantity, the expected cost. These optimise
another one, into which the whole weight has to enter. As an estimator of the reconstruction term
of an autoencoder, which adds an exact KL term, the sum would be ``E log 1/K sum_k p(x|z_k) - KL``,
which is not a bound: it can exceed log p(x). (Two values, uniform prior, p(x|z) = 1 and 0, q = (.9,
.1): in the limit of many samples it is -.47, and log p(x) = -.69.)

References: Burda, Grosse, Salakhutdinov, "Importance Weighted Autoencoders", arXiv:1509.00519,
eqs. 8 and 14; Mnih and Rezende, "Variational Inference for Monte Carlo Objectives",
arXiv:1602.06725, eqs. 5 to 10.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.arithmetic import without_autocast
from relaxit.dtypes import compute_dtype
from relaxit.errors import Unsupported
from relaxit.estimators import Cost, Pathwise, SampleEstimator
from relaxit.estimators.common import add_gradient, checked, total_log_prob
from relaxit.losses.counts import check_count
from relaxit.relaxation import RelaxedDistribution

__all__ = ["iwae_loss", "vimco_loss"]

_PATHWISE = Pathwise()  # built once: a compiler cannot trace the validation of options


def iwae_loss(
    q: RelaxedDistribution,
    log_weight: Cost,
    samples: int = 5,
    *,
    estimator: SampleEstimator | None = None,
    generator: Generator = None,
) -> Tensor:
    """Compute the negative importance-weighted bound, with its gradient through the samples.

    With soft samples, the default, ``log q`` is the density ``q.log_prob``. The gradient is then
    unbiased for the bound of the relaxed model. With another estimator it has that one's bias.

    Args:
        q: the distribution of the samples.
        log_weight: function from values ``[*batch, *event]`` to ``log p(x, z) - log q(z)``, of
            shape ``[*lead]`` that begins the batch shape. It is called once per sample.
        samples: number of samples K, at least 1.
        estimator: draws the samples, with their gradient; ``pathwise`` if None.
        generator: source of randomness.

    Returns:
        The loss ``[*lead]`` in nats, in at least float32; its mean is to be minimised.

    Raises:
        ConfigurationError: if ``samples`` is not a positive integer.
        TypeError, ShapeError, Unsupported: if the log-weights are not a tensor ``[*lead]`` with a
            gradient, or the relaxation lacks what the estimator needs.

    Example:
        >>> import torch, relaxit
        >>> binary = relaxit.get("binary")
        >>> q, prior = binary(torch.ones(3, requires_grad=True), 0.5), binary(torch.zeros(3), 0.5)
        >>> log_weight = lambda z: prior.log_prob(z) - q.log_prob(z)  # of p(x|z) = 1
        >>> iwae_loss(q, log_weight, samples=8).shape
        torch.Size([3])
    """
    check_count("iwae_loss", "samples", samples, 1)
    drawing = _PATHWISE if estimator is None else estimator
    if not isinstance(drawing, SampleEstimator):
        raise Unsupported(
            "iwae_loss needs an estimator that acts through its sample, such as Pathwise(), got "
            f"{drawing!r}"
        )
    drawing.check(q.relaxation)
    weigh = checked("iwae_loss", "the log-weight", q, log_weight, "vimco_loss")
    with without_autocast(q.params):
        z = drawing.sample(q, (samples,), generator)
    return -_log_mean_exp(_stacked([weigh(each) for each in z.unbind(0)]))


def vimco_loss(
    q: RelaxedDistribution, log_weight: Cost, samples: int = 5, *, generator: Generator = None
) -> Tensor:
    r"""Compute the negative importance-weighted bound, with the gradient of VIMCO.

        sum_k (L - L_{-k}) grad log q(z_k)  +  sum_k w_k / (sum_j w_j) grad log w_k,

    where L is the log-mean of the weights, and L_{-k} the same with w_k replaced by the geometric
    mean of the others, the baseline of sample k. Unbiased for the bound of the discrete model; the
    weights need not be differentiable in z. Memory is that of K graphs of the log-weight.

    Args:
        q: the distribution of the samples; it needs a discrete distribution.
        log_weight: function from hard values ``[*batch, *event]`` to ``log p(x, z) - log q(z)``,
            with the mass ``q.discrete.log_prob`` summed over the variables of one weight, of shape
            ``[*lead]`` that begins the batch shape. It is called once per sample. The weights must
            be positive.
        samples: number of samples K, at least 2.
        generator: source of randomness.

    Returns:
        The loss ``[*lead]`` in nats, in at least float32; its mean is to be minimised. Parameters
        of the log-weight get their gradient too.

    Raises:
        ConfigurationError: if ``samples`` is not an integer of at least 2.
        Unsupported: if the relaxation has no discrete distribution.
        TypeError, ShapeError: if the log-weights are not numbers ``[*lead]``.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.ones(2, 3, requires_grad=True)  # two data points, three bits each
        >>> q, prior = relaxit.get("binary")(logits), relaxit.get("binary")(torch.zeros(3))
        >>> def log_weight(z):  # p(x|z) = exp(-number of ones)
        ...     return (prior.discrete.log_prob(z) - q.discrete.log_prob(z) - z).sum(-1)
        >>> vimco_loss(q, log_weight, samples=8).mean().backward()
        >>> logits.grad.shape
        torch.Size([2, 3])
    """
    check_count("vimco_loss", "samples", samples, 2)
    if not q.relaxation.capabilities.discrete_distribution:
        raise Unsupported(
            "vimco_loss needs the discrete distribution, which relaxation "
            f"{q.relaxation.name!r} does not have; try iwae_loss"
        )
    weigh = checked("vimco_loss", "the log-weight", q, log_weight)
    hard = q.sample_hard((samples,), generator)
    # Copies, because a function may work in place.
    log_weights = _stacked([weigh(each.clone()) for each in hard.unbind(0)])
    value = -_log_mean_exp(log_weights)
    if not torch.is_grad_enabled():
        return value
    signal = -value.detach() - _without_own(log_weights.detach())
    score = signal * total_log_prob(q, hard, value.shape)
    return add_gradient(value, -score.sum(0))


def _stacked(logs: list[Tensor]) -> Tensor:
    """Stack log-weights in at least float32; autocast cannot stack every dtype."""
    return torch.stack([each.to(compute_dtype(each.dtype)) for each in logs])


def _log_mean_exp(logs: Tensor) -> Tensor:
    return logs.logsumexp(0) - math.log(len(logs))


def _without_own(logs: Tensor) -> Tensor:
    """Return ``[K, *lead]``: the log-mean with each entry replaced by the mean of the others."""
    others = (logs.sum(0) - logs) / (len(logs) - 1)
    own = torch.eye(len(logs), dtype=torch.bool, device=logs.device)
    own = own.reshape(own.shape + (1,) * (logs.dim() - 1))
    return _log_mean_exp(torch.where(own, others, logs.unsqueeze(1)))
