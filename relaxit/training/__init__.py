"""Objectives, the training loop, evaluation, and what a run leaves on disk."""
