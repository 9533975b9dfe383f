"""The evaluation service: durable runs of suites against an OpenAI-compatible endpoint, by default the gateway.

Read `service.py` first, then `jobs.py` (the durable workflow) and `suites/rag_qa.py`. Only gateway.embedded and
gateway.cli import this package; its parts are imported nowhere else.
"""
