"""From a chat request to an answer with its sources: a file a stage. Read `answer` first. Imported by the routes alone.

`prepare` is all before the first token: `options`, `prompt` and `ask` decide what is asked. `retrieve`, `generate`,
`until` and `trace` call the services, `choose` verifies the samples and lets them vote (`aggregate`; `tally` while they
still come), `cite` marks what a passage supports, `account` sums up what each owner's data did, and `run` times the
stages and keeps the partial failures of one request.
"""
