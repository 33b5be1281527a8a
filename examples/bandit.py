"""Train the policy of a bandit on rewards that an environment gave for actions drawn earlier."""

import numpy as np
import torch

import relaxit

torch.manual_seed(0)
rng = np.random.default_rng(0)
payoff = rng.uniform(size=(4, 10))  # probability of a reward: 4 contexts, 10 arms
policy = torch.nn.Embedding(4, 10)  # logits of the arms
optimizer = torch.optim.Adam(policy.parameters(), lr=0.05)
categorical, rloo = relaxit.get("categorical", categories=10), relaxit.estimator("rloo")
for step in range(401):
    seen = torch.randint(4, (64,))
    with torch.no_grad():  # act: four draws for each context, as integers for the environment
        arms = categorical(policy(seen)).sample_hard((4,)).argmax(-1)  # [4, 64]
    rewards = rng.binomial(1, payoff[seen, arms])  # a NumPy array
    loss = rloo.loss(categorical(policy(seen)), arms, rewards).mean()  # learn from these actions
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 400 == 0:
        print(f"step {step}: regret {(payoff.max(1)[seen] - payoff[seen, arms]).mean():.3f}")
