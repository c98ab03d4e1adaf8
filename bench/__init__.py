"""Benches and studies.

`python -m bench` lists the benches: contests of speed and memory, one form of JSON, one report.
Studies ask other questions, once, and write a table into the documents: `python -m bench.choosing`
(which loss for imbalance and noise), `.conformance` (beside optax), `.contract` (the clauses every
loss keeps) and `.digits` (accuracy beside scikit-learn).
"""
