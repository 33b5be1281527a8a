"""The packages in ``plugins/`` and what they provide, so that an absent one can be named."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ELSEWHERE", "PACKAGES", "package_of"]

PACKAGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "relaxit-graph": {
        "relaxation": (
            "alignment",
            "arborescence",
            "chain",
            "edges",
            "gumbel-crf",
            "k-edges",
            "projective-tree",
            "segmentation",
            "spanning-tree",
        ),
        "task": ("crf-tagger", "interactions"),
        "dataset": ("hmm-sentences", "springs"),
        "recipe": ("crf-tagger", "interactions-edges", "interactions-k-edges", "interactions-tree"),
    },
    "relaxit-permutation": {
        "relaxation": ("matching", "partial-matching", "permutation", "permutation-plackett-luce"),
        "task": ("jigsaw", "sorting-numbers"),
        "dataset": ("numbers",),
        "recipe": ("jigsaw", "sorting-numbers"),
        "function": ("hard_permutation", "rank", "sinkhorn", "soft_permutation", "sort", "topk"),
    },
    "relaxit-subset": {
        "relaxation": ("subset", "subset-plackett-luce"),
        "estimator": ("imle", "simple"),
        "task": ("feature-selection", "router"),
        "dataset": ("mixture-of-functions",),
        "recipe": ("feature-selection", "router", "subset-vae"),
        "function": ("sample_subset", "soft_topk"),
    },
}
"""Registered names by kind, for each package."""

ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("estimator", "iwae"): "It is a loss: relaxit.losses.iwae_loss.",
    ("estimator", "vimco"): "It is a loss: relaxit.losses.vimco_loss.",
}
"""Where to find what is looked up as something that it is not."""


def package_of(kind: str, name: str) -> str:
    """Return the package that provides a name; empty if none does.

    Example:
        >>> package_of("relaxation", "subset"), package_of("relaxation", "categorical")
        ('relaxit-subset', '')
    """
    for package, provided in PACKAGES.items():
        if name in provided.get(kind, ()):
            return package
    return ""
