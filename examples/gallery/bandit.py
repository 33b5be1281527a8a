"""
A bandit policy trained with RLOO (policy gradient)
===================================================

A contextual bandit returns the reward of the arm that the policy chose, and this reward has no
gradient. ``estimator.loss`` takes actions and rewards, as tensors or NumPy arrays, and returns a
policy-gradient loss to minimise. The baseline of REINFORCE is a moving average of all rewards.
The baseline of RLOO (`Kool et al. 2019 <https://openreview.net/forum?id=r1lgTGL5DE>`__) is the
mean reward of the other draws for the same context. In this example, rewards differ more between
contexts than between arms. The figure shows that RLOO learns faster in this case.
"""

import matplotlib.pyplot as plt
import torch

import relaxit

torch.manual_seed(0)
weights = torch.randn(8, 10) + 6 * torch.randn(8, 1)  # of 10 arms; the second term is common to all
categorical = relaxit.get("categorical", categories=10)
average = relaxit.estimator("reinforce").build_state(categorical, variables=1)

# %%
# In each step, both estimators get four rewards for each of 64 contexts. The regret is the
# expected reward of the best arm minus that of the policy.

fig, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for name, state in {"reinforce": average, "rloo": None}.items():
    estimator, policy, regret = relaxit.estimator(name), torch.nn.Linear(8, 10), []
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.05)
    for _ in range(300):
        context = torch.randn(64, 8)
        q, mean = categorical(policy(context)), context @ weights
        arms = q.sample_hard((4,)).argmax(-1)  # [4, 64], as integers
        rewards = mean.gather(1, arms.T).T + torch.randn(4, 64)  # from the environment
        optimizer.zero_grad()
        estimator.loss(q, arms, rewards, state=state).mean().backward()
        optimizer.step()
        regret.append((mean.amax(-1) - (q.discrete.mean * mean).sum(-1)).mean().item())
    print(f"{name}: regret {sum(regret[-50:]) / 50:.3f}")
    axes.plot(regret, label=name.upper())
axes.set(title="Regret of the policy", xlabel="step", ylabel="regret (reward)", ylim=(0, 2))
axes.legend()
plt.savefig("bandit.png")
