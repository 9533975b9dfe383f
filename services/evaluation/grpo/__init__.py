"""GRPO with verifiable and with spurious rewards on any causal language model, and what a training did.

Read `settings.py`, then `run.py`. `rewards` says what is rewarded, `labels` whom a majority holds right, `trainer` how
trl is set, `watch` and `measures` what is measured on the way, `data` the problems; `families` and `taught` make small
models of two families to try it on. Knows nothing of HTTP, runs or suites (the suite `spurious-rewards` starts
``python -m services.evaluation.grpo train`` as a process, and imports only what does not import torch).
"""
