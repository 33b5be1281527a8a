"""Optuna searches for a temperature and an estimator around a short training loop.

pip install optuna
"""

import optuna
import torch

import relaxit

TARGET = torch.tensor([0.2, 0.9, 0.4, 0.7, 0.1])


def objective(trial):
    """Return the expected cost that a bandit with five arms has learned, 0.1 at best."""
    temperature = trial.suggest_float("temperature", 0.1, 5.0, log=True)
    estimator = relaxit.estimator(
        trial.suggest_categorical("estimator", ["st-gumbel", "straight-through", "rloo"])
    )
    arms = relaxit.get("categorical", categories=5)
    logits = torch.zeros(5, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=0.5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        q = arms(logits.expand(8, 5), temperature)
        loss = estimator.surrogate(q, lambda z: (z * TARGET).sum(-1), generator).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float((arms(logits.detach()).discrete.mean * TARGET).sum())


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=15)
    print(f"uniform choice {float(TARGET.mean()):.3f}, best {study.best_value:.3f}")
    print(study.best_params)
