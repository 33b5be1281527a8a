"""The report as JSON."""

import json

from relaxit.gradients import GradientSettings
from tests.gradients import subjects
from tests.gradients.measuring import measured


def test_json_has_everything_and_no_nan():
    named = (subjects.Score(), subjects.Rejecting(), subjects.Baseline())
    settings = GradientSettings(draws=10, warm_up=2)
    table = json.loads(
        json.dumps([r.to_json() for r in measured(*named, settings=settings).values()],
                   allow_nan=False)
    )  # fmt: skip
    assert [each["case"] for each in table] == ["linear", "quadratic"]
    assert table[0]["relaxation"] == {"name": "categorical", "options": {"categories": 3}}
    done, *_, rejected = table[0]["estimators"]
    figures = {
        "bias", "bias_squared", "noise_level", "variance", "mse", "mse_error", "cosine_of_mean",
        "cosine", "rows", "evidence", "evaluations", "seconds", "uses_temperature",
    }  # fmt: skip
    about = {"estimator", "options", "state", "temperature", "outcome", "reason", "stated"}
    assert set(done) == figures | about
    assert set(rejected) == about
    assert rejected["outcome"] == "unsupported"
