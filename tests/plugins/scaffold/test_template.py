"""The relaxation of the template: it works as written, like any other plugin."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch.distributions import kl_divergence

import relaxit
from relaxit import Unsupported
from relaxit.cli.app import run
from relaxit.errors import ConfigurationError
from relaxit.plugins import registry, scaffold
from relaxit.testing import check_relaxation
from tests.helpers import DTYPES, params_for, seed


def by_hand(params):
    """All rows in float64 and the mass of each, from the probability of each switch."""
    size = params.shape[-1]
    rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * size)
    rows = rows.reshape(2**size, size)
    p = 1 / (1 + torch.exp(-params.double()))
    factors = torch.where(rows.unsqueeze(1) == 1, p, 1 - p)  # [rows, batch, size]
    return rows, factors.prod(-1)


def test_as_a_plugin(demo):
    own = registry.Registry(entry_points=[], environ={})
    plugin = registry.PluginRecord("demo", "relaxit-demo", "0.1.0", "relaxit_demo")
    own.add(plugin, sys.modules["relaxit_demo.hooks"])
    assert plugin.state == "ok"
    assert plugin.provides == {"relaxation": ["demo"]}
    assert own.find("relaxation", "demo") is demo


def test_the_hook_module_loads_no_torch(tmp_path):
    package = scaffold.new_plugin("demo", tmp_path)
    code = "import sys, relaxit_demo.hooks; sys.exit('torch' in sys.modules)"
    path = os.pathsep.join([str(package / "src"), str(Path(relaxit.__file__).parents[1])])
    env = {**os.environ, "PYTHONPATH": path}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0


def test_shapes_and_support(demo):
    assert demo() == demo(size=4)
    for relaxation in (*demo.examples(), demo()):
        size = relaxation.options.size
        assert relaxation.event_shape == relaxation.param_shape == (size,)
        q = relaxation(params_for(relaxation, 3, 2), 0.5)
        soft, hard = q.draw((5,), seed(0))
        assert soft.shape == hard.shape == q.sample_hard((5,)).shape == (5, 3, 2, size)
        assert bool(q.support.check(soft).all())
        assert bool(relaxation.vertices.check(hard).all())
        assert torch.equal(q.hard(soft), hard)
        for denied in (lambda q=q, soft=soft: q.log_prob(soft), lambda q=q: q.log_space):
            with pytest.raises(Unsupported):
                denied()
    with pytest.raises(ConfigurationError, match="size"):
        demo(size=0)


@pytest.mark.parametrize("size", [1, 3])
def test_the_distribution_by_enumeration(demo, size):
    relaxation = demo(size=size)
    a, b = params_for(relaxation, 6) * 2, params_for(relaxation, 6, number=8)
    distribution = relaxation.discrete(a)
    rows, p = by_hand(a)
    q = by_hand(b)[1]
    close = {"rtol": 0, "atol": 1e-12}
    listed = distribution.enumerate_support()
    assert sorted(map(tuple, listed[:, 0].tolist())) == sorted(map(tuple, rows.tolist()))
    torch.testing.assert_close(distribution.log_prob(rows.unsqueeze(1)).exp(), p, **close)
    mean = (p.unsqueeze(-1) * rows.unsqueeze(1)).sum(0)
    torch.testing.assert_close(distribution.mean, mean, **close)
    assert torch.equal(distribution.mode, rows[p.argmax(0)])
    torch.testing.assert_close(distribution.entropy(), -(p * p.log()).sum(0), **close)
    got = kl_divergence(distribution, relaxation.discrete(b))
    torch.testing.assert_close(got, (p * (p / q).log()).sum(0), **close)
    uniform = (p * (p * len(p)).log()).sum(0)
    torch.testing.assert_close(relaxation(a).kl_to_uniform(), uniform, **close)
    assert relaxation.log_cardinality == pytest.approx(math.log(len(rows)))
    assert float(distribution.log_prob(torch.full((6, size), 0.5).double()).max()) == -math.inf


def test_expand_and_support_without_expand(demo):
    distribution = demo(size=3).discrete(params_for(demo(size=3), 2))
    big = distribution.expand((5, 2))
    assert torch.equal(big.mean, distribution.mean.expand(5, 2, 3))
    assert big.sample((4,)).shape == (4, 5, 2, 3)
    thin = distribution.enumerate_support(expand=False)
    assert thin.shape == (8, 1, 3)
    assert torch.equal(thin.expand(8, 2, 3), distribution.enumerate_support())
    with pytest.raises(Unsupported, match="too many"):
        demo(size=21).enumerate_vertices()


@pytest.mark.parametrize("road", ["draw", "rounded", "sample"])
def test_frequencies(demo, road):
    # alpha = 2e-5, seeds fixed; the distribution with half the noise has to fail.
    relaxation, count = demo(size=3), 100_000
    params = torch.tensor([0.5, -1.0, 0.0])
    values = {
        "draw": lambda q: q.draw((count,), seed(1))[1],
        "rounded": lambda q: q.hard(q.sample((count,), seed(2))),
        "sample": lambda q: q.sample_hard((count,), seed(3)),
    }[road]
    rows, p = by_hand(params.unsqueeze(0))

    def pvalue(q) -> float:
        numbers = (values(q) * torch.tensor([4.0, 2.0, 1.0])).sum(-1).long()
        observed = torch.bincount(numbers, minlength=8).double()
        return stats.chisquare(observed.numpy(), (p[:, 0] * count).numpy()).pvalue

    assert rows.tolist()[1] == [0, 0, 1]  # rows are in the order of these numbers
    assert pvalue(relaxation(params)) > 2e-5
    assert pvalue(relaxation(params * 2)) < 2e-5


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_scores_in_every_dtype(demo, dtype):
    relaxation = demo(size=3)
    rows = [[1e4, -1e4, 0.0], [1e4, 1e4, 1e4], [-1e4] * 3, [0.0] * 3]
    params = torch.tensor(rows, dtype=dtype, requires_grad=True)
    q = relaxation(params, 0.1)
    soft, hard = q.draw((20,))
    assert {soft.dtype, hard.dtype, q.discrete.mean.dtype, q.sample_hard().dtype} == {dtype}
    other = relaxation.discrete(params.detach().flip(0))
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    scalars = [q.discrete.entropy(), q.kl_to_uniform(), kl_divergence(q.discrete, other)]
    scalars.append(q.discrete.log_prob(hard))
    assert {value.dtype for value in scalars} == {wide}
    for value in (*scalars, soft):
        assert bool(value.isfinite().all())
        (slope,) = torch.autograd.grad(value.sum(), params, retain_graph=True)
        assert bool(slope.isfinite().all())


def test_vmap_and_compile(demo):
    relaxation = demo(size=3)

    def everything(params, temperature):
        q = relaxation(params, temperature)
        soft, hard = q.draw((2,))
        distribution = q.discrete
        again = relaxation.discrete(params * 2)
        found = [
            soft,
            hard,
            q.hard(soft),
            q.sample_hard(),
            distribution.mean,
            distribution.entropy(),
            distribution.mode,
        ]
        return [
            *found,
            distribution.log_prob(hard),
            q.kl_to_uniform(),
            kl_divergence(distribution, again),
        ]

    params, temperature = torch.randn(4, 3), torch.tensor([0.1, 0.5, 1.0, 2.0])
    torch.compiler.reset()
    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    torch.manual_seed(1)
    got = compiled(params, temperature)
    torch.manual_seed(1)
    for value, want in zip(got, everything(params, temperature), strict=True):
        torch.testing.assert_close(value, want)
    mapped = torch.func.vmap(everything, randomness="different")(params, temperature)
    assert [value.shape[0] for value in mapped] == [4] * 10
    torch.testing.assert_close(mapped[5], got[5])


def test_it_conforms(demo):
    found = check_relaxation(demo)
    assert {result.outcome for result in found} == {"pass", "not applicable"}


def test_it_trains(demo, tmp_path, capsys):
    relaxit.register(demo)
    try:
        arguments = "train --relaxation demo --epochs 1 --device cpu --out run --quiet --json"
        assert run(arguments.split()) == 0
    finally:
        relaxit.unregister(demo)
    result = json.loads(capsys.readouterr().out)
    assert result["test_elbo_discrete"] < 0
    assert math.isfinite(result["train_surrogate"])


def test_the_readmes_code_runs(demo, tmp_path):
    text = (tmp_path / "relaxit-demo" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    relaxit.register(demo)
    try:
        found = {}
        exec(code, found)
    finally:
        relaxit.unregister(demo)
    torch.testing.assert_close(found["entropy"], torch.full((32,), 4 * math.log(2)))
