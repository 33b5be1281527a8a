"""Under the transforms of torch.func, in inference mode and in exported code it is the same."""

from __future__ import annotations

import pytest
import torch
from sequence_oracles import ALL, INF, PERTURBED, SOME, close, listing, normal
from torch.distributions import kl_divergence
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap

import relaxit
from relaxit import Unsupported


def quantities(relaxation):
    """Functions of one row of params, each with a float result."""
    value = listing(relaxation).values[0]
    zeros = torch.zeros(relaxation.param_shape, dtype=torch.float64)
    weights = normal(*relaxation.event_shape, number=9)
    return {
        "mean": lambda x: relaxation.discrete(x).mean,
        "mode": lambda x: relaxation.discrete(x).mode,
        "entropy": lambda x: relaxation.discrete(x).entropy(),
        "kl": lambda x: kl_divergence(relaxation.discrete(x), relaxation.discrete(zeros)),
        "mass": lambda x: relaxation.discrete(x).log_prob(value),
        "score": lambda x: (relaxation.discrete(x).mean * weights).sum(),
    }


SMOOTH = ("mean", "entropy", "kl", "mass", "score")
SCALAR = ("entropy", "kl", "mass", "score")


@ALL
def test_vmap_is_a_loop(relaxation):
    rows = listing(relaxation).masked(normal(4, *relaxation.param_shape), 2)
    for function in quantities(relaxation).values():
        close(vmap(function)(rows), torch.stack([function(row) for row in rows]))


@PERTURBED
def test_vmap_of_relax_and_argmax(relaxation):
    rows = normal(2, 3, *relaxation.param_shape)
    soft = vmap(vmap(lambda x: relaxation.relax(x, 0.5)))(rows)
    close(soft, relaxation.relax(rows, 0.5))
    assert torch.equal(vmap(vmap(relaxation.argmax))(rows), relaxation.argmax(rows))
    assert torch.equal(vmap(vmap(relaxation.hard))(soft), relaxation.hard(soft))


@SOME
def test_grad_is_that_of_autograd(relaxation):
    functions = quantities(relaxation)
    rows = listing(relaxation).masked(normal(3, *relaxation.param_shape), 2)
    for name in SCALAR:
        leaf = rows.clone().requires_grad_()
        total = sum(functions[name](row) for row in leaf)
        (wanted,) = torch.autograd.grad(total, leaf)
        close(vmap(grad(functions[name]))(rows), wanted, 1e-11)


@SOME
def test_forward_mode_is_the_transpose_of_reverse_mode(relaxation):
    x, tangent = normal(*relaxation.param_shape), normal(*relaxation.param_shape, number=1)
    functions = quantities(relaxation)
    for name in SMOOTH:
        value, forward = jvp(functions[name], (x,), (tangent,))
        close(value, functions[name](x))
        backward = torch.tensordot(jacrev(functions[name])(x), tangent, tangent.dim())
        close(forward, backward, 1e-11)


@SOME
def test_the_jacobian_of_the_mean_is_the_covariance(relaxation):
    known, x = listing(relaxation), normal(*relaxation.param_shape)
    mass = known.log_masses(x).exp().unsqueeze(-1)
    mean = (mass * known.statistics).sum(0)
    centred = known.statistics - mean
    size = known.statistics.shape[1]
    for function in (jacrev(lambda x: relaxation.discrete(x).mean_statistics()),
                     hessian(lambda x: relaxation.discrete(x).log_partition())):  # fmt: skip
        close(function(x).reshape(size, size), centred.mT @ (mass * centred))


@SOME
def test_inference_mode(relaxation):
    params = normal(3, *relaxation.param_shape)
    q = relaxation.discrete(params)
    with torch.inference_mode():
        inner = relaxation.discrete(params.clone())
        for one, other in (
            (inner.mean, q.mean),
            (inner.mode, q.mode),
            (inner.entropy(), q.entropy()),
        ):
            close(one, other)
        assert inner.sample((2,)).shape == (2, 3, *relaxation.event_shape)
        outside = relaxation(params.clone(), 0.5)
        assert bool(relaxation.support.check(outside.rsample()).all())
    close(inner.mean, q.mean)  # an inference tensor, outside of inference mode


class Quantities(torch.nn.Module):
    def __init__(self, relaxation):
        super().__init__()
        self.relaxation = relaxation

    def forward(self, params):
        q = self.relaxation.discrete(params)
        return q.mean, q.entropy(), self.relaxation.hard(q.mean)


def test_exported_for_batches_of_any_size():
    chain = relaxit.get("chain", length=3, states=2)
    example, batch = normal(5, *chain.param_shape), torch.export.Dim("batch", min=2)
    module = Quantities(chain)
    program = torch.export.export(module, (example,), dynamic_shapes=[{0: batch}]).module()
    for size in (2, 3, 8):
        params = listing(chain).masked(normal(size, *chain.param_shape), size)
        for one, other in zip(program(params), module(params), strict=True):
            close(one, other)


def test_a_trace_would_be_wrong_for_other_batches():
    chain = relaxit.get("chain", length=2, states=2)
    with pytest.raises(Unsupported, match=r"use torch\.export\.export"):
        torch.jit.trace(Quantities(chain), normal(2, *chain.param_shape), check_trace=False)


def test_a_table_of_a_module_gets_gradients_by_row():
    """Per-example gradients of a parameter that all rows share."""
    chain = relaxit.get("chain", length=3, states=2)

    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(normal(2, 2))

        def forward(self, unary):
            return chain.discrete(chain.join(unary=unary, pair=self.table)).entropy()

    tagger, unary = Tagger(), normal(4, 3, 2, number=1)
    table = {"table": tagger.table.detach()}
    per_row = vmap(grad(lambda t, u: functional_call(tagger, t, (u,))), in_dims=(None, 0))
    got = per_row(table, unary)["table"]
    rows = [torch.autograd.grad(tagger(row), tagger.table)[0] for row in unary]
    close(got, torch.stack(rows))
    assert bool((got.abs() < INF).all())
