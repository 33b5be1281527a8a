"""Unsupervised tagging with a CRF autoencoder, as a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_graph.tasks.tagger.hmm_sentences import HmmSentences as HmmSentences
    from relaxit_graph.tasks.tagger.hmm_sentences import probabilities as probabilities
    from relaxit_graph.tasks.tagger.model import CrfAutoencoder as CrfAutoencoder
    from relaxit_graph.tasks.tagger.task import CrfTagger as CrfTagger
    from relaxit_graph.tasks.tagger.task import is_real as is_real
    from relaxit_graph.tasks.tagger.task import nats_per_token as nats_per_token
    from relaxit_graph.tasks.tagger.task import one_to_one as one_to_one

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_graph.tasks.tagger.hmm_sentences": ["HmmSentences", "probabilities"],
        "relaxit_graph.tasks.tagger.model": ["CrfAutoencoder"],
        "relaxit_graph.tasks.tagger.task": ["CrfTagger", "is_real", "nats_per_token", "one_to_one"],
    },
)
