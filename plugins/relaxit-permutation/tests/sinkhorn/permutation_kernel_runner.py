"""Runs the Triton program on the CPU, in Triton's interpreter: ``python ... INPUT OUTPUT``.

The interpreter has to be asked for before Triton is imported, hence a process of its own. INPUT and
OUTPUT are lists of arguments and of results, as saved by torch.
"""

import os
import sys
import warnings

os.environ["TRITON_INTERPRET"] = "1"

import torch

from relaxit_permutation.sinkhorn import triton_kernels

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # numpy's, about matrices that have no scaling
    found = [triton_kernels.sweep(*arguments) for arguments in torch.load(sys.argv[1])]
    torch.save(found, sys.argv[2])
