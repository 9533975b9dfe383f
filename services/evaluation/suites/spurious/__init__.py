"""`spurious-rewards`: whether a gain from reinforcement learning is what it seems. The registry imports `suite`.

`options` are what can be asked, `figures` draws the curves, `telling` says what came of it. The trainings are those of
`services.evaluation.grpo`, each a process of its own.
"""
