"""Variational inference in Pyro, which sums over the values of each choice.

pip install pyro-ppl
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate

import relaxit

centres = torch.tensor([-2.0, 0.0, 3.0])
seen = torch.tensor([-1.9, -0.8, 1.6, 2.5])
choice = relaxit.get("categorical", categories=3)


def model():
    with pyro.plate("data", len(seen)):
        z = pyro.sample("z", choice(torch.zeros(3)).discrete)  # one-hot
        pyro.sample("x", dist.Normal((z * centres).sum(-1), 1.0), obs=seen)


@config_enumerate
def guide():
    logits = pyro.param("logits", torch.zeros(len(seen), 3))
    with pyro.plate("data", len(seen)):
        pyro.sample("z", choice(logits).discrete)


svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), TraceEnum_ELBO())
losses = [svi.step() for _ in range(500)]

joint = dist.Normal(centres, 1.0).log_prob(seen.unsqueeze(-1)) - torch.tensor(3.0).log()
print(f"loss {losses[0]:.3f}, after training {losses[-1]:.3f}")
print(f"minus log-evidence {-float(joint.logsumexp(-1).sum()):.3f}")
print("learned", choice(pyro.param("logits")).discrete.mean.tolist())
print("exact", joint.softmax(-1).tolist())
