"""What ``relaxit bench training`` and ``relaxit bench startup`` measure.

Steps of a training run beside those of an old tutorial's script, and whole programs from Enter to
their end. Small pieces of work are benchmarks of their own, see :mod:`relaxit.bench`.
"""
