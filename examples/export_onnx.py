"""Export the decoder of a trained autoencoder to ONNX, with the draw of the codes that it decodes.

relaxit train --dataset digits --epochs 1 --out runs/first
python examples/export_onnx.py runs/first

pip install onnx onnxscript onnxruntime
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

import relaxit
from relaxit.training.runs import open_model

run = open_model(Path(sys.argv[1]), device="cpu")
choose = relaxit.Relax(run.setup.relaxation, evaluate="sample")
decode = nn.Sequential(choose, nn.Flatten(-2), run.model.decoder, nn.Sigmoid()).eval()
logits = torch.zeros(2, *run.model.params_shape)  # of an even prior
images = torch.export.Dim("images", min=1)
program = torch.onnx.export(
    decode, (logits,), dynamo=True, dynamic_shapes=({0: images},), input_names=["logits"]
)
program.save("decoder.onnx")

session = onnxruntime.InferenceSession("decoder.onnx")
(drawn,) = session.run(None, {"logits": np.zeros((16, *run.model.params_shape), np.float32)})
print(f"{len(drawn)} images of {drawn.shape[-1]} pixels, mean {drawn.mean():.2f}")
