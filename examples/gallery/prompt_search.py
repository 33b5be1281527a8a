"""
Prompt search over a vocabulary of 32 000 tokens
================================================

Prompt search looks for the tokens that make a frozen model behave as intended. Each position is a
categorical variable with 32 000 values, so nearly all sampled tokens are wrong.
``relaxit.gumbel_softmax(logits, tau, hard=True)`` samples tokens from ``softmax(logits)`` at
every temperature. The temperature only determines how widely the gradient is spread (`Shah et al.
2024 <https://arxiv.org/abs/2410.13331>`__), and a high one reaches the whole vocabulary. The
figure shows that the search finds all six tokens.
"""

import matplotlib.pyplot as plt
import torch

import relaxit

# %%
# A frozen embedding takes the place of the model. The search knows the embedding of a prompt
# of six tokens, and has to find the tokens.

torch.manual_seed(0)
embedding = torch.randn(32_000, 64) / 8  # rows have a length of about 1
wanted = torch.randint(32_000, (6,))
target = embedding[wanted]

# %%
# The only parameters are the logits of the prompt. At a temperature of 1, the same search
# finds none of the tokens.

logits = torch.zeros(6, 32_000, requires_grad=True)
optimizer = torch.optim.SGD([logits], lr=3e4)
history = []
for _ in range(80):
    prompt = relaxit.gumbel_softmax(logits, tau=10.0, hard=True)  # [6, 32 000], one-hot
    loss = (prompt @ embedding - target).square().sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append([loss.item(), *logits.softmax(-1)[torch.arange(6), wanted].tolist()])

# %%
# Each line on the right is the probability of the wanted token at one position.

loss, *found = zip(*history, strict=True)
print(f"{(logits.argmax(-1) == wanted).sum()} of 6 tokens, squared distance {loss[-1]:.2f}")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
axes[0].plot(loss)
axes[0].set(title="Squared distance", xlabel="step")
axes[1].plot(torch.tensor(found).T, color="tab:blue")
axes[1].set(title="Probability of wanted tokens", xlabel="step")
plt.savefig("prompt_search.png")
