"""Flags of benchmarks that take a second."""

QUICK = ["--rounds", "2", "--seconds", "0", "--device", "cpu"]
SMALL = [word for each in ("batch=64", "latents=3", "categories=4") for word in ("-o", each)]
