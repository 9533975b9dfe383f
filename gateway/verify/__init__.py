"""What checks a sample against what the client knows of the right answer. Read `verifiers` first.

`checks` are run in processes of their own (`pool`), because a pattern, a schema or a formula can take for ever; `code`
runs a sample's program in a sandbox, with `runner` inside it; `remote` asks the client's own verifier. Imported by the
pipeline alone; knows nothing of it.
"""
