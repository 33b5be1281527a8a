"""Perturb and relax: add noise to the scores, then solve a smoothed argmax (stochastic softmax).

A structure whose vertices maximise a linear score only has to define its argmax and how it is
smoothed. The noise, the handling of dtypes and the pairing of soft with hard samples are shared.

Reference: Paulus, Choi, Tarlow, Krause, Maddison, "Gradient Estimation with Stochastic Softmax
Tricks", arXiv:2006.08063, section 3.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cache

import torch
from torch import Tensor

from relaxit import noise
from relaxit.aliases import Generator
from relaxit.dtypes import compute_dtype
from relaxit.errors import Unsupported
from relaxit.float16 import keep_float32
from relaxit.relaxation import Relaxation
from relaxit.tracing import constant_result

__all__ = ["PerturbAndRelax"]


class PerturbAndRelax(Relaxation):
    """A relaxation that is a smoothed argmax of perturbed scores.

    Implement :meth:`relax` and :meth:`argmax`. They receive scores in at least float32, whatever
    the dtype of params, and the result is cast back once, at the end.
    """

    @abstractmethod
    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        """Map perturbed scores ``[..., *param_shape]`` to soft values ``[..., *event_shape]``."""

    @abstractmethod
    def argmax(self, scores: Tensor) -> Tensor:
        """Return the vertex ``[..., *event_shape]`` with the highest score, also for ties."""

    def finish(self, soft: Tensor, params: Tensor) -> Tensor:
        """Adjust a soft value in the dtype it is stored in. Does nothing by default.

        A relaxation with a density overrides this to keep the value off the boundary, where the
        density does not exist, after rounding to a short dtype or at a low temperature.
        """
        del params
        return soft

    @property
    def noise_shape(self) -> torch.Size:
        """Shape of the noise of one variable; by default one number for each entry of params."""
        return self.param_shape

    def add_noise(self, params: Tensor, noise: Tensor) -> Tensor:
        """Return scores ``[..., *param_shape]``: params plus noise ``[..., *noise_shape]``.

        Override it with :attr:`noise_shape` and :meth:`noised` if several entries share a number,
        or some have none. It is linear in the noise, and the noise may be scaled.
        """
        return params + noise

    def noised(self, params: Tensor) -> Tensor:
        """Return the numbers ``[*batch, *noise_shape]`` to which the noise is added.

        Derivatives of the mean of a sample are estimated with them, so scores may depend on params
        through these numbers only.

        Raises:
            Unsupported: if scores depend on params that get no noise.
        """
        if self.noise_shape != self.param_shape:
            raise Unsupported(
                f"{self.name}: some params of {self!r} get no noise, which estimates of the "
                "derivative of the mean sample need"
            )
        return params

    @staticmethod
    def noise(
        shape: torch.Size, *, dtype: torch.dtype, device: torch.device, generator: Generator
    ) -> Tensor:
        """Draw the noise of the scores, standard Gumbel by default.

        Set ``noise = staticmethod(relaxit.noise.logistic)`` in the class for logistic noise.
        """
        return noise.gumbel(shape, dtype=dtype, device=device, generator=generator)

    def perturb(self, params: Tensor, shape: torch.Size, generator: Generator = None) -> Tensor:
        """Return params plus noise, ``[*shape, *params.shape]``, in float32 or float64."""
        dtype = compute_dtype(params.dtype)
        full = shape + params.shape[: params.dim() - len(self.param_shape)] + self.noise_shape
        drawn = self.noise(full, dtype=dtype, device=params.device, generator=generator)
        return self.add_noise(params.to(dtype), drawn)

    def perturb_given(
        self,
        params: Tensor,
        hard: Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> Tensor:
        """Draw perturbed scores given the vertex that is their argmax.

        If the vertex is drawn from the discrete distribution, the result is distributed as that of
        :meth:`perturb`. It is reparametrised: differentiable in params for fixed noise.

        Args:
            params: parameters ``[*batch, *param_shape]``.
            hard: vertices ``[*lead, *batch, *event_shape]``.
            shape: shape of the independent draws for each vertex.
            generator: source of randomness.

        Returns:
            Scores ``[*shape, *lead, *batch, *param_shape]`` in float32 or float64.

        Raises:
            Unsupported: if the relaxation does not claim the capability ``conditional``.
        """
        del params, hard, shape, generator
        raise self.unsupported("perturb_given, perturbed scores given the hard sample")

    def rsample(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> Tensor:
        soft = self.relax(self.perturb(params, shape, generator), temperature)
        return self.store(soft, params)

    def draw(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> tuple[Tensor, Tensor]:
        # The vertex comes from the scores, not from the soft value, which may have ties where the
        # scores have none (a high temperature, a short dtype).
        scores = self.perturb(params, shape, generator)
        soft = self.relax(scores, temperature)
        return self.store(soft, params), self.argmax(scores.detach()).to(params.dtype)

    def store(self, soft: Tensor, params: Tensor) -> Tensor:
        """Cast a soft value to the dtype of params and apply :meth:`finish`."""
        return keep_float32(self.finish(soft.to(params.dtype), params), soft)

    @constant_result
    def common_sum(self) -> int | None:
        """Return the sum of the entries of a value; None if it varies or is not an integer.

        None as well if the statistics of a value are not the value. A constant in compiled code.
        """
        return _common_sum(self)

    def hard(self, soft: Tensor) -> Tensor:
        """Return the nearest vertex, assuming that all vertices have the same norm."""
        return self.argmax(soft)


@cache
def _common_sum(relaxation: PerturbAndRelax) -> int | None:
    """Compare the largest and the smallest sum."""
    if type(relaxation).statistics is not Relaxation.statistics:
        return None
    if relaxation.param_shape != relaxation.event_shape:
        return None
    ones = torch.ones(relaxation.param_shape, dtype=torch.float32, device="cpu")
    most, least = (float(relaxation.argmax(s * ones).sum()) for s in (1.0, -1.0))
    return int(most) if most == least and most.is_integer() else None
