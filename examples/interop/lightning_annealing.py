"""A layer of choices in a Lightning module, whose temperature a callback anneals.

pip install lightning
"""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

import relaxit


class Autoencoder(lightning.LightningModule):
    """Eight choices among ten encode an image of a digit."""

    def __init__(self):
        super().__init__()
        self.choose = relaxit.Relax("categorical", categories=10, estimator="st-gumbel")
        self.encode = nn.Sequential(nn.Linear(64, 80), nn.Unflatten(-1, (8, 10)))
        self.decode = nn.Sequential(nn.Flatten(-2), nn.Linear(80, 64))

    def training_step(self, batch, index):
        (x,) = batch
        loss = binary_cross_entropy_with_logits(self.decode(self.choose(self.encode(x))), x)
        self.log("loss", loss)
        self.log("temperature", self.choose.temperature)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=3e-3)


class Anneal(lightning.Callback):
    """Lowers the temperature from 1 to 0.3 over the training."""

    def on_train_batch_start(self, trainer, module, batch, index):
        done = trainer.global_step / trainer.estimated_stepping_batches
        module.choose.set_temperature(0.3**done)


class History(lightning.Callback):
    def __init__(self):
        self.rows = []

    def on_train_epoch_end(self, trainer, module):
        self.rows.append({name: float(x) for name, x in trainer.callback_metrics.items()})


if __name__ == "__main__":
    lightning.seed_everything(0, verbose=False)
    images = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    history = History()
    trainer = lightning.Trainer(
        max_epochs=8,
        accelerator="cpu",
        callbacks=[Anneal(), history],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Autoencoder(), DataLoader(TensorDataset(images), batch_size=64, shuffle=True))
    for row in history.rows:
        print(f"loss {row['loss']:.3f}, temperature {row['temperature']:.3f}")
