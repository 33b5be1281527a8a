r"""Sinkhorn's iterations, in the domain of the kernel, and safe there.

One iteration scales rows, then columns, of ``K = exp(x + u + v)``:

    a = rows / (K b),    b = columns / (K^T a).

In logarithms this takes two log-sum-exps over the whole matrix. In the domain of the kernel it
takes two products of a matrix and a vector, ten times less. What is said against it is that K
underflows at low temperature. It need not:

* u and v begin as the maxima that make the greatest entry of each row and of each column exactly 1,
  so no sum is empty;
* from then on a row or column has at least 1 / n of its sum before it is scaled, because what was
  scaled before left no more than n to each: in one iteration a and b grow by a factor of n at most;
* an entry that is too small for the kernel matters only after the scalings have grown by as much.
  They are absorbed into u and v, and the kernel is formed anew, before they can have. Until then
  such an entry stands at the root of the smallest number: products with denormal ones take ten
  times as long.

Reference: Schmitzer, "Stabilized Sparse Scaling Algorithms", arXiv:1610.06519 (absorption).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit.arithmetic import has_reduced_precision
from relaxit_permutation.sinkhorn import cuda

__all__ = ["first_potentials", "floor", "sweep"]

CHUNK = 10
"""Iterations between two looks at the residual."""
_PATIENCE = 15
"""Further chunks that are waited for, if the rate promises convergence by then."""
_SHORT = 400
"""Matrices with fewer entries are laid out with the batch last: torch's product of many small
matrices and vectors is slow."""


def first_potentials(x: Tensor) -> tuple[Tensor, Tensor]:
    """Shifts ``u [..., m, 1]``, ``v [..., 1, n]`` that bring maxima of rows and columns to 0."""
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
    """Scale ``exp(x + u + v)`` to the sums asked for.

    Args:
        x: scores, ``[B, m, n]``.
        u, v: potentials to begin with, ``[B, m, 1]`` and ``[B, 1, n]``; every row and column of
            the kernel must have an entry that is not tiny.
        rows, columns: the sums wanted, ``[B, m, 1]`` and ``[B, 1, n]``.
        iterations: at most.
        aim: relative error of the sums at which to stop.
        watch: whether to look at the error after each chunk, for which a GPU would have to wait. If
            not, all iterations are made, or as many as it takes where each matrix can see to that
            by itself (:mod:`relaxit_permutation.sinkhorn.cuda`).
        patient: whether to go on where the rate promises no convergence soon.

    Returns:
        The scaled matrix, its potentials, and the relative error of its sums, ``[B]``.
    """
    if not watch and (found := cuda.sweep(x, u, v, rows, columns, iterations, aim)):
        return found
    kernel = _kernel(x, u, v)
    whole = watch and not float(kernel.amin()) < _least(x.dtype)  # nothing was too small
    room, growth = -floor(x.dtype) / 2, 0.0 if whole else _growth(rows, columns, watch)
    fresh = CHUNK if whole else max(1, min(CHUNK, int(room / growth)))
    flow, free, done, history = _flow(kernel, rows, columns), fresh, 0, []
    while done < iterations:
        count = min(free, CHUNK - done % CHUNK, iterations - done)
        flow.run(count)
        done += count
        if watch and aim > 0 and done % CHUNK == 0:
            history.append(float(flow.residual().max()))
            if not history[-1] > aim or (not patient and _hopeless(history, aim)):
                break
        if not whole:
            # Entries left out of the kernel still count less than exp(-room).
            a, b = flow.scalings()
            free = int((room - math.log(float(a.max() * b.max()))) / growth) if watch else 0
            if free < 1 and done < iterations:
                u, v = u + a.log(), v + b.log()
                del flow  # its copies of the kernel, before there are others
                kernel = _kernel(x, u, v, kernel)
                flow, free = _flow(kernel, rows, columns), fresh
    a, b = flow.scalings()
    off = flow.residual() if whole else None
    if not whole:  # what stands in the place of smaller numbers, masked ones too, is 0
        torch.threshold_(kernel, _least(x.dtype), 0.0)
    scaled = kernel.mul_(a).mul_(b)
    return scaled, u + a.log(), v + b.log(), _error(scaled, rows, columns) if off is None else off


def _error(p: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The largest relative error of a row or column sum, ``[B]``."""
    r, c = p.sum(-1, keepdim=True) / rows - 1, p.sum(-2, keepdim=True) / columns - 1
    return torch.maximum(r.abs_().flatten(1).amax(1), c.abs_().flatten(1).amax(1))


def _least(dtype: torch.dtype) -> float:
    """What a kernel's entry that is no stand-in exceeds."""
    return 2 * math.exp(floor(dtype))


def _growth(rows: Tensor, columns: Tensor, watch: bool) -> float:
    """By how much, at most, the logarithm of a product of two scalings grows in an iteration."""
    bound = 2 * math.log(max(rows.shape[-2], columns.shape[-1], 2))
    if watch:
        for sums in (rows, columns):
            least, most = sums.aminmax()
            bound += math.log(float(most / least))
    return bound


def _kernel(x: Tensor, u: Tensor, v: Tensor, out: Tensor | None = None) -> Tensor:
    """``exp(x + u + v)``, where it is not too small for products with itself."""
    kernel = torch.add(x, u, out=out)
    return kernel.add_(v).clamp_min_(floor(x.dtype)).exp_()


def floor(dtype: torch.dtype) -> float:
    """Logarithm of the smallest number whose square is not denormal."""
    return 0.5 * math.log(torch.finfo(dtype).tiny)


def _hopeless(history: list[float], aim: float) -> bool:
    """Whether the error, falling as it does, will not reach the aim within the patience."""
    if len(history) < 2:
        return history[-1] > 0.5
    fall = math.log(history[-2] / history[-1]) if history[-1] > 0 else math.inf
    return fall * _PATIENCE < math.log(history[-1] / aim)


def _flow(kernel: Tensor, rows: Tensor, columns: Tensor) -> _ShortFlow | _LongFlow:
    """The iterations on one kernel, in the layout that suits its size."""
    short = kernel.shape[-2] * kernel.shape[-1] < _SHORT
    return (_ShortFlow if short else _LongFlow)(kernel, rows, columns)


class _ShortFlow:
    """Iterations with the batch last: sums of plain quotients, the innermost loop over the batch.

    Kept are the sums ``alpha = K b`` and ``beta = K^T a``, by which the next quotient is divided: a
    half iteration is two operations. What rows and columns are to sum to is in the kernels.
    """

    def __init__(self, kernel: Tensor, rows: Tensor, columns: Tensor) -> None:
        r, c = (each.permute(1, 2, 0).contiguous() for each in (rows, columns))
        k = kernel.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)
        self.by_columns, self.by_rows = k * c, k.mul_(r)  # [m, n, B]
        self.rows, self.columns = r, c  # [m, 1, B], [1, n, B]
        self.buffer = torch.empty_like(k)
        self.alpha, self.beta = torch.ones_like(r), c.clone()

    def run(self, count: int) -> None:
        """So many iterations."""
        buffer, alpha, beta = self.buffer, self.alpha, self.beta
        for _ in range(count):
            torch.div(self.by_columns, beta, out=buffer)
            torch.sum(buffer, 1, True, out=alpha)
            torch.div(self.by_rows, alpha, out=buffer)
            torch.sum(buffer, 0, True, out=beta)

    def scalings(self) -> tuple[Tensor, Tensor]:
        """``a [B, m, 1]`` and ``b [B, 1, n]``."""
        a, b = self.rows / self.alpha, self.columns / self.beta
        return a.permute(2, 0, 1), b.permute(2, 0, 1)

    def residual(self) -> Tensor:
        """Relative error of the row sums, ``[B]``; those of the columns are right."""
        torch.div(self.by_columns, self.beta, out=self.buffer)
        off = (self.buffer.sum(1, True) / self.alpha - 1).abs_()
        return off.flatten(0, 1).amax(0)


class _LongFlow:
    """Iterations with the batch first: products of a row vector and a matrix, K or its transpose.

    With a column vector the library is several times slower. Where products of float32 matrices
    may be shortened they are made in float64.
    """

    def __init__(self, kernel: Tensor, rows: Tensor, columns: Tensor) -> None:
        self.dtype = kernel.dtype
        if kernel.dtype == torch.float32 and has_reduced_precision(kernel.device):
            kernel, rows, columns = kernel.double(), rows.double(), columns.double()
        self.kernel, self.turned = kernel, kernel.mT
        self.rows, self.columns = rows.mT, columns  # [B, 1, m], [B, 1, n]
        # The strides of a transposed column are not those that bmm means to write to.
        self.a, self.b = (
            torch.ones_like(each, memory_format=torch.contiguous_format)
            for each in (self.rows, self.columns)
        )

    def run(self, count: int) -> None:
        """So many iterations."""
        a, b = self.a, self.b
        for _ in range(count):
            torch.bmm(b, self.turned, out=a)
            torch.div(self.rows, a, out=a)
            torch.bmm(a, self.kernel, out=b)
            torch.div(self.columns, b, out=b)

    def scalings(self) -> tuple[Tensor, Tensor]:
        """``a [B, m, 1]`` and ``b [B, 1, n]``."""
        return self.a.mT.to(self.dtype), self.b.to(self.dtype)

    def residual(self) -> Tensor:
        """Relative error of the row sums, ``[B]``; those of the columns are right."""
        off = (torch.bmm(self.b, self.turned).mul_(self.a).div_(self.rows) - 1).abs_()
        return off.flatten(1).amax(1).to(self.dtype)
