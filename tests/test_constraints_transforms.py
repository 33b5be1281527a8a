"""``biject_to`` and ``transform_to`` map unconstrained numbers to the supports of soft values."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import biject_to, transform_to
from torch.distributions.constraints import independent

import relaxit
from relaxit import constraints

SUPPORTS = {
    "simplex": (constraints.simplex, (5,)),
    "unit interval": (constraints.unit_interval, ()),
    "rows": (independent(constraints.simplex, 1), (3, 5)),
    "categorical": (relaxit.get("categorical", categories=5).support, (5,)),
    "binary": (relaxit.get("binary").support, ()),
}
EACH = pytest.mark.parametrize(("support", "event"), SUPPORTS.values(), ids=list(SUPPORTS))


@EACH
@pytest.mark.parametrize("registry", [biject_to, transform_to])
def test_numbers_become_soft_values(registry, support, event):
    transform = registry(support)
    x = 3 * torch.randn(100, *transform.inverse_shape(torch.Size(event)), dtype=torch.float64)
    soft = transform(x)
    assert soft.shape == (100, *event)
    assert support.check(soft).all()
    assert torch.allclose(transform(transform.inv(soft)), soft)


@EACH
def test_the_volume_is_that_of_the_free_coordinates(support, event):
    """The density of a relaxation is with respect to K - 1 entries of a simplex."""
    transform = biject_to(support)
    x = torch.randn(transform.inverse_shape(torch.Size(event)), dtype=torch.float64)
    keep = event and event[-1] - 1
    jacobian = torch.autograd.functional.jacobian(
        lambda x: transform(x)[..., :keep].flatten() if event else transform(x).view(1), x
    )
    size = x.numel()
    want = torch.linalg.slogdet(jacobian.reshape(size, size)).logabsdet
    assert torch.allclose(transform.log_abs_det_jacobian(x, transform(x)).sum(), want)


def test_vertices_have_no_transform():
    for constraint in (constraints.one_hot, constraints.boolean):
        with pytest.raises(NotImplementedError):
            biject_to(constraint)
