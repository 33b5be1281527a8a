"""Save a model with a layer of choices in the format of the Hugging Face hub, and load it.

pip install huggingface_hub
"""

import sys
import tempfile

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import nn

import relaxit


class Classifier(nn.Module, PyTorchModelHubMixin):
    """Looks at ``k`` of the features of each row, which it chooses itself."""

    def __init__(self, features: int, slots: int, temperature: float = 0.5):
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(features, slots * features), nn.Unflatten(-1, (slots, features))
        )
        self.choose = relaxit.Relax("categorical", temperature, evaluate="mode")
        self.classify = nn.Linear(slots, 2)

    def forward(self, x):
        chosen = self.choose(self.score(x))  # [*, slots, features]
        return self.classify((chosen * x.unsqueeze(-2)).sum(-1))


if __name__ == "__main__":
    torch.manual_seed(0)
    model = Classifier(features=6, slots=2)
    model.choose.set_temperature(0.25)  # is saved with the weights
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(sys.argv[1] if len(sys.argv) > 1 else directory)
        loaded = Classifier.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else directory)
    x = torch.randn(5, 6)
    same = torch.equal(model.eval()(x), loaded.eval()(x))
    print(f"temperature {float(loaded.choose.temperature)}, same output: {same}")
