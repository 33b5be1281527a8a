"""Search for the prompt, of 32 000 tokens at each place, whose embedding a frozen model wants."""

import torch

import relaxit

torch.manual_seed(0)
embedding = torch.randn(32_000, 64) / 8  # of unit length
wanted = torch.randint(32_000, (6,))
target = embedding[wanted]
logits = torch.zeros(6, 32_000, requires_grad=True)
optimizer = torch.optim.SGD([logits], lr=3e4)
for step in range(61):
    # One-hot prompts; the gradient is that of a high temperature, where it reaches every token.
    prompt = relaxit.gumbel_softmax(logits, 10.0, hard=True, estimator="decoupled-st-gumbel")
    loss = (prompt @ embedding - target).square().sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        found = int((logits.argmax(-1) == wanted).sum())
        print(f"step {step}: {found} of 6 tokens, squared distance {loss.item():.2f}")
