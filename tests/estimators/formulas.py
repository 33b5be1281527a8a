"""Gradients through draws by the formulas of the papers, written out plainly."""

from __future__ import annotations

import itertools

import torch

from tests.helpers import seed


def pull(kind, p, g):
    """J(p) g of a softmax or a sigmoid, entry by entry."""
    if kind == "bits":
        return p * (1 - p) * g
    out = torch.zeros_like(p)
    for i, j in itertools.product(range(p.shape[-1]), repeat=2):
        out[..., i] += ((p[..., i] if i == j else 0.0) - p[..., i] * p[..., j]) * g[..., j]
    return out


def marginals(kind, logits):
    """Probabilities of categories, or of the value 1 of each bit."""
    if kind == "bits":
        return 1 / (1 + (-logits).exp())
    weights = (logits - logits.amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True)


def log_odds(kind, p):
    """Logits with these marginals."""
    return p.log() if kind == "category" else (p / (1 - p)).log()


def formula(name, relaxation, params, hard, g, temperature, number):
    """What the gradient should be, by the formulas of the papers."""
    kind = relaxation.capabilities.logits
    pi = marginals(kind, params)
    if name == "straight-through":
        return pull(kind, marginals(kind, params / temperature), g) / temperature
    if name == "gapped-st":
        return (
            pull(kind, marginals(kind, gapped(kind, params, hard) / temperature), g) / temperature
        )
    if name == "reinmax":
        halfway = (marginals(kind, params / temperature) + hard) / 2
        return 2 * pull(kind, halfway, g) - 0.5 * pull(kind, pi, g)
    halfway = (pi + hard) / 2
    shifted = log_odds(kind, halfway)
    noise = seed(number)
    if name == "gumbel-rao":
        return rao(relaxation, params, hard, g, temperature, (4, 2), noise)
    if name == "reinmax-rao":
        second = rao(relaxation, shifted, hard, g, temperature, (4, 2), noise)
        return 2 * second - 0.5 * pull(kind, pi, g)
    one = rao(relaxation, shifted, hard, g, temperature, (1,), noise)
    many = rao(relaxation, shifted, hard, g, temperature, (4, 2), noise)
    return 2 * pull(kind, halfway, g) - 0.5 * pull(kind, pi, g) + 0.5 * (many - one)


def gapped(kind, logits, hard, gap=1.0):
    """Logits moved until that of the draw leads by the gap, row by row."""
    if kind == "bits":
        up, down = (
            torch.maximum(logits, torch.tensor(gap)),
            torch.minimum(logits, torch.tensor(-gap)),
        )
        return torch.where(hard == 1, up, down)
    out = logits.clone().reshape(-1, logits.shape[-1])
    for row, mark in zip(out, hard.reshape(out.shape), strict=True):
        top, chosen = float(row.max()), int(mark.argmax())
        for i in range(len(row)):
            row[i] = top if i == chosen else min(float(row[i]), top - gap)
    return out.reshape(logits.shape)


def rao(relaxation, at, hard, g, temperature, sizes, noise):
    """Mean of the gradient over perturbed scores given the draw, in chunks of these sizes."""
    kind, found = relaxation.capabilities.logits, 0.0
    for size in sizes:
        for x in relaxation.perturb_given(at, hard, torch.Size((size,)), noise):
            found = found + pull(kind, marginals(kind, x / temperature), g) / temperature
    return found / sum(sizes)
