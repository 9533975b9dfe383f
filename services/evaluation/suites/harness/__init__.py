"""`lm-eval`: tasks of lm-evaluation-harness against the endpoint, as jobs in its own environment.

The registry imports `suite`. `probe.py` checks that the endpoint echoes log-probabilities, `process.py` runs lm_eval.
"""
