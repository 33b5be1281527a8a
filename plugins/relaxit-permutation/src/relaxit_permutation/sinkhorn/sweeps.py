r"""Sinkhorn's iterations in the kernel domain, without underflow.

One iteration scales rows, then columns, of ``K = exp(x + u + v)``:

    a = rows / (K b),    b = columns / (K^T a).

In the log domain this takes two log-sum-exps over the whole matrix. In the kernel domain it takes
two matrix-vector products, which are ten times faster. The usual objection is that K underflows at
low temperatures. This is avoided as follows:

* u and v start as the maxima that make the greatest entry of each row and of each column exactly 1,
  so no sum is empty;
* from then on a row or column has at least 1 / n of its sum before it is scaled, because the
  previous scaling left at most n to each: in one iteration a and b grow at most by a factor of n;
* an entry that is too small for the kernel matters only after the scalings have grown
  correspondingly. Before they can, they are absorbed into u and v, and the kernel is recomputed.
  Until then such an entry is set to the square root of the smallest number, because products with
  denormal numbers take ten times as long.

Reference: Schmitzer, "Stabilized Sparse Scaling Algorithms", arXiv:1610.06519 (absorption).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit.arithmetic import has_reduced_precision
from relaxit_permutation.sinkhorn import cuda

__all__ = ["LongFlow", "ShortFlow", "first_potentials", "floor", "sweep"]

CHUNK = 10
"""Iterations between two checks of the residual."""
_PATIENCE = 15
"""Number of further chunks that are made if the rate predicts convergence by then."""
_SHORT = 400
"""Matrices with fewer entries are laid out with the batch last, because torch's batched product of
small matrices and vectors is slow."""


def first_potentials(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return shifts ``u [..., m, 1]``, ``v [..., 1, n]`` with which row and column maxima are 0."""
    u = -x.amax(-1, keepdim=True)
    return u, -(x + u).amax(-2, keepdim=True)


def sweep(
    x: Tensor,
    u: Tensor,
    v: Tensor,
    rows: Tensor,
    columns: Tensor,
    iterations: int,
    aim: float,
    watch: bool,
    patient: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scale ``exp(x + u + v)`` to the desired sums.

    Args:
        x: scores ``[B, m, n]``.
        u, v: initial potentials, ``[B, m, 1]`` and ``[B, 1, n]``; every row and column of the
            kernel must have an entry that is not tiny.
        rows, columns: desired sums, ``[B, m, 1]`` and ``[B, 1, n]``.
        iterations: largest number of iterations.
        aim: relative error of the sums at which to stop.
        watch: whether to check the error after each chunk, which synchronises with a GPU. Otherwise
            all iterations are made, or as many as necessary where each matrix can stop by itself
            (:mod:`relaxit_permutation.sinkhorn.cuda`).
        patient: whether to continue where the rate does not predict convergence soon.

    Returns:
        The scaled matrix ``[B, m, n]``, its potentials u and v, and the relative error ``[B]`` of
        its sums.
    """
    if not watch and (swept := cuda.sweep(x, u, v, rows, columns, iterations, aim)):
        return swept
    kernel = _kernel(x, u, v)
    complete = watch and not float(kernel.amin()) < _least(x.dtype)  # no entry was too small
    room, growth = -floor(x.dtype) / 2, 0.0 if complete else _growth(rows, columns, watch)
    fresh = CHUNK if complete else max(1, min(CHUNK, int(room / growth)))
    flow, free, done, history = _flow(kernel, rows, columns), fresh, 0, []
    while done < iterations:
        count = min(free, CHUNK - done % CHUNK, iterations - done)
        flow.run(count)
        done += count
        if watch and aim > 0 and done % CHUNK == 0:
            history.append(float(flow.residual().max()))
            if not history[-1] > aim or (not patient and _hopeless(history, aim)):
                break
        if not complete:
            # Entries left out of the kernel still contribute less than exp(-room).
            a, b = flow.scalings()
            free = int((room - math.log(float(a.max() * b.max()))) / growth) if watch else 0
            if free < 1 and done < iterations:
                u, v = u + a.log(), v + b.log()
                del flow  # frees its copies of the kernel before new ones are made
                kernel = _kernel(x, u, v, kernel)
                flow, free = _flow(kernel, rows, columns), fresh
    a, b = flow.scalings()
    off = flow.residual() if complete else None
    if not complete:  # placeholders of smaller numbers, including masked ones, become 0
        torch.threshold_(kernel, _least(x.dtype), 0.0)
    scaled = kernel.mul_(a).mul_(b)
    return scaled, u + a.log(), v + b.log(), _error(scaled, rows, columns) if off is None else off


def _error(p: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the largest relative error ``[B]`` of a row or column sum."""
    r, c = p.sum(-1, keepdim=True) / rows - 1, p.sum(-2, keepdim=True) / columns - 1
    return torch.maximum(r.abs_().flatten(1).amax(1), c.abs_().flatten(1).amax(1))


def _least(dtype: torch.dtype) -> float:
    """Return the bound that every kernel entry exceeds unless it is a placeholder."""
    return 2 * math.exp(floor(dtype))


def _growth(rows: Tensor, columns: Tensor, watch: bool) -> float:
    """Return a bound on the growth of the log-product of two scalings in one iteration."""
    bound = 2 * math.log(max(rows.shape[-2], columns.shape[-1], 2))
    if watch:
        for sums in (rows, columns):
            least, most = sums.aminmax()
            bound += math.log(float(most / least))
    return bound


def _kernel(x: Tensor, u: Tensor, v: Tensor, out: Tensor | None = None) -> Tensor:
    """Compute ``exp(x + u + v)``, bounded below so that products of entries are not denormal."""
    kernel = torch.add(x, u, out=out)
    return kernel.add_(v).clamp_min_(floor(x.dtype)).exp_()


def floor(dtype: torch.dtype) -> float:
    """Return the logarithm of the smallest number whose square is not denormal."""
    return 0.5 * math.log(torch.finfo(dtype).tiny)


def _hopeless(history: list[float], aim: float) -> bool:
    """Whether the error will not reach the aim within the patience at its current rate."""
    if len(history) < 2:
        return history[-1] > 0.5
    fall = math.log(history[-2] / history[-1]) if history[-1] > 0 else math.inf
    return fall * _PATIENCE < math.log(history[-1] / aim)


def _flow(kernel: Tensor, rows: Tensor, columns: Tensor) -> ShortFlow | LongFlow:
    """Return the iterations on one kernel in the layout that suits its size."""
    short = kernel.shape[-2] * kernel.shape[-1] < _SHORT
    return (ShortFlow if short else LongFlow)(kernel, rows, columns)


class ShortFlow:
    """Iterations with the batch last: sums of quotients, with the innermost loop over the batch.

    The state is the sums ``alpha = K b`` and ``beta = K^T a``, which divide the next quotient, so
    that half an iteration is two operations. The desired sums are folded into the kernels.
    """

    def __init__(self, kernel: Tensor, rows: Tensor, columns: Tensor) -> None:
        r, c = (sums.permute(1, 2, 0).contiguous() for sums in (rows, columns))
        k = kernel.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)
        self.by_columns, self.by_rows = k * c, k.mul_(r)  # [m, n, B]
        self.rows, self.columns = r, c  # [m, 1, B], [1, n, B]
        self.buffer = torch.empty_like(k)
        self.alpha, self.beta = torch.ones_like(r), c.clone()

    def run(self, count: int) -> None:
        """Make a number of iterations."""
        buffer, alpha, beta = self.buffer, self.alpha, self.beta
        for _ in range(count):
            torch.div(self.by_columns, beta, out=buffer)
            torch.sum(buffer, 1, True, out=alpha)
            torch.div(self.by_rows, alpha, out=buffer)
            torch.sum(buffer, 0, True, out=beta)

    def scalings(self) -> tuple[Tensor, Tensor]:
        """Return ``a [B, m, 1]`` and ``b [B, 1, n]``."""
        a, b = self.rows / self.alpha, self.columns / self.beta
        return a.permute(2, 0, 1), b.permute(2, 0, 1)

    def residual(self) -> Tensor:
        """Return the relative error ``[B]`` of the row sums; the column sums are exact."""
        torch.div(self.by_columns, self.beta, out=self.buffer)
        off = (self.buffer.sum(1, True) / self.alpha - 1).abs_()
        return off.flatten(0, 1).amax(0)


class LongFlow:
    """Iterations with the batch first: products of row vectors with K or its transpose.

    Products with column vectors are several times slower in the library. Where float32 matmuls may
    run at reduced precision, they are computed in float64.
    """

    def __init__(self, kernel: Tensor, rows: Tensor, columns: Tensor) -> None:
        self.dtype = kernel.dtype
        if kernel.dtype == torch.float32 and has_reduced_precision(kernel.device):
            kernel, rows, columns = kernel.double(), rows.double(), columns.double()
        self.kernel, self.turned = kernel, kernel.mT
        self.rows, self.columns = rows.mT, columns  # [B, 1, m], [B, 1, n]
        # The strides of a transposed column are not those that bmm writes to.
        self.a, self.b = (
            torch.ones_like(sums, memory_format=torch.contiguous_format)
            for sums in (self.rows, self.columns)
        )

    def run(self, count: int) -> None:
        """Make a number of iterations."""
        a, b = self.a, self.b
        for _ in range(count):
            torch.bmm(b, self.turned, out=a)
            torch.div(self.rows, a, out=a)
            torch.bmm(a, self.kernel, out=b)
            torch.div(self.columns, b, out=b)

    def scalings(self) -> tuple[Tensor, Tensor]:
        """Return ``a [B, m, 1]`` and ``b [B, 1, n]``."""
        return self.a.mT.to(self.dtype), self.b.to(self.dtype)

    def residual(self) -> Tensor:
        """Return the relative error ``[B]`` of the row sums; the column sums are exact."""
        off = (torch.bmm(self.b, self.turned).mul_(self.a).div_(self.rows) - 1).abs_()
        return off.flatten(1).amax(1).to(self.dtype)
