"""Perturb and relax: add noise to the scores, then solve a smoothed argmax (stochastic softmax).

A structure whose vertices maximise a linear score only has to say what its argmax is and how it is
smoothed; the noise, the dtype care and the pairing of soft with hard values are given here.

Reference: Paulus, Choi, Tarlow, Krause, Maddison, "Gradient Estimation with Stochastic Softmax
Tricks", arXiv:2006.08063, section 3.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cache

import torch
from torch import Tensor

from relaxit import noise
from relaxit.dtypes import compute_dtype
from relaxit.float16 import keep_float32
from relaxit.relaxation import Relaxation
from relaxit.tracing import constant_result

__all__ = ["PerturbAndRelax"]


class PerturbAndRelax(Relaxation):
    """A relaxation that is a smoothed argmax of perturbed scores.

    Write :meth:`relax` and :meth:`argmax`. Scores reach them in at least float32, whatever the
    dtype of params, and the result is cast back once, at the end.
    """

    @abstractmethod
    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        """The soft value ``[..., *event_shape]`` of perturbed scores ``[..., *param_shape]``."""

    @abstractmethod
    def argmax(self, scores: Tensor) -> Tensor:
        """The vertex ``[..., *event_shape]`` with the highest score. Ties must give a vertex."""

    def finish(self, soft: Tensor, params: Tensor) -> Tensor:
        """The last touch on a soft value, in the dtype it is stored in. Nothing by default.

        A relaxation with a density keeps the value off the boundary here, where rounding to a
        short dtype or a low temperature would put it and the density does not exist.
        """
        del params
        return soft

    @staticmethod
    def noise(
        shape: torch.Size,
        *,
        dtype: torch.dtype,
        device: torch.device,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Noise for the scores: standard Gumbel. ``noise = staticmethod(relaxit.noise.logistic)``
        in the class makes it another one."""
        return noise.gumbel(shape, dtype=dtype, device=device, generator=generator)

    def perturb(
        self, params: Tensor, shape: torch.Size, generator: torch.Generator | None = None
    ) -> Tensor:
        """Scores plus noise, ``[*shape, *params.shape]``, float32 or float64."""
        dtype = compute_dtype(params.dtype)
        full = shape + params.shape
        drawn = self.noise(full, dtype=dtype, device=params.device, generator=generator)
        return params.to(dtype) + drawn

    def perturb_given(
        self,
        params: Tensor,
        hard: Tensor,
        shape: torch.Size = torch.Size(),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Perturbed scores, drawn given the vertex that is their argmax.

        With a vertex drawn from the discrete law the result has the law of :meth:`perturb`. It is
        reparametrised: differentiable in params, the noise being fixed.

        Args:
            params: ``[*batch, *param_shape]``.
            hard: vertices ``[*lead, *batch, *event_shape]``.
            shape: of independent draws for each vertex.
            generator: source of randomness.

        Returns:
            ``[*shape, *lead, *batch, *param_shape]``, float32 or float64.

        Raises:
            Unsupported: if the capability ``conditional`` is not claimed.
        """
        del params, hard, shape, generator
        raise self.unsupported("perturb_given, perturbed scores given the hard value")

    def rsample(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size = torch.Size(),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        soft = self.relax(self.perturb(params, shape, generator), temperature)
        return self.store(soft, params)

    def draw(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size = torch.Size(),
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        # The vertex comes from the scores, not from the soft value: that one may have ties where
        # the scores have none (a high temperature, a short dtype).
        scores = self.perturb(params, shape, generator)
        soft = self.relax(scores, temperature)
        return self.store(soft, params), self.argmax(scores.detach()).to(params.dtype)

    def store(self, soft: Tensor, params: Tensor) -> Tensor:
        """A soft value in the dtype of params, and finished."""
        return keep_float32(self.finish(soft.to(params.dtype), params), soft)

    @constant_result
    def common_sum(self) -> int | None:
        """The sum of the entries of every value; None if they differ in it, or it is no integer.

        For structures whose values have the shape of their params. In compiled code a constant.
        """
        return _common_sum(self)

    def hard(self, soft: Tensor) -> Tensor:
        """The nearest vertex. All vertices having the same norm, it is the one best aligned."""
        return self.argmax(soft)


@cache
def _common_sum(relaxation: PerturbAndRelax) -> int | None:
    """Maximise and minimise the sum."""
    ones = torch.ones(relaxation.param_shape, dtype=torch.float32, device="cpu")
    most, least = (float(relaxation.argmax(s * ones).sum()) for s in (1.0, -1.0))
    return int(most) if most == least and most.is_integer() else None
