"""Evaluation: one-pass evaluation, supervised VOT with EAO, metrics and statistics.

Modules of this room may import the paper's modules, `data` and `runtime`. Start with `one_pass`
for how a tracker is run on a benchmark, and with `metrics` for how its boxes are scored.
"""
