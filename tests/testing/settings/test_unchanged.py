"""Checks under other settings: their messages, and that settings are restored after a failure."""

from __future__ import annotations

import pytest
import torch

from relaxit.testing import cases, results
from relaxit.testing.settings.process import global_settings
from tests.testing.broken.settings import unchanged
from tests.testing.sound import choices


class RaisesInInference(choices.Choice):
    def relax(self, scores, temperature):
        if torch.is_inference_mode_enabled():
            raise ValueError("not here")
        return super().relax(scores, temperature)


def reasons(subject):
    (case,) = cases(subject, relaxations=[choices.Choice()])
    return {r.check: r.reason for r in results(case) if r.outcome == "fail"}


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (
            unchanged.ProductInLogSpace(categories=3),
            ["autocast to bfloat16", "log_space.log_prob", "full_precision_matmul"],
        ),
        (
            unchanged.HeedsAutocastAlone(),
            ["'high'", "at temperature 0.02", "full_precision_matmul"],
        ),
        (unchanged.ShortBackward(), ["the gradient of", "of 64 rows"]),
        (unchanged.LongEntropy(), ["the dtype of entropy is torch.float64", "give dtype="]),
        (unchanged.ConstantOnTheDefaultDevice(), ["default device", "give device="]),
        (unchanged.KeepsATable(), ["in training after it", "Inference tensors"]),
        (unchanged.ReadsWhatIsThere(), ["deterministic algorithms", "torch.empty"]),
        (RaisesInInference(), ["in inference mode it raises ValueError: not here"]),
        (unchanged.MeansInInference(), ["sample 0 passed to the cost"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_message_says_what_where_and_what_to_do(subject, said):
    (reason,) = reasons(subject).values()
    assert all(word in reason for word in said), reason


def test_what_a_check_sets_is_put_back_after_a_failure():
    before = global_settings()
    for subject in (unchanged.ConstantOnTheDefaultDevice(), RaisesInInference()):
        reasons(subject)
        assert global_settings() == before
        assert torch.zeros(()).device.type == "cpu"
        assert not torch.is_inference_mode_enabled()
