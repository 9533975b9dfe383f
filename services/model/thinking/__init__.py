"""A small model that thinks in tags: the embedded model taught arithmetic with worked steps, to try (No)Thinking on.

`problems` makes the questions, `examples` their texts with and without thinking, `train` a low-rank adapter on them,
`build` the model folder that the model service serves, `measure` how often it is right. Imports
`services.model.flexolmo` and the engines, no HTTP. ``python -m services.model.thinking`` runs all of it.
"""
