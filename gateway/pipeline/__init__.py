"""From a chat request to an answer with its sources: a file a stage. Read `answer` first. Imported by the routes alone.

`options` and `prompt` decide what is asked, `retrieve`, `generate` and `trace` call the services, `aggregate`
chooses among the samples, `cite` marks what a passage supports, `account` sums up what each owner's data did,
and `run` times the stages and keeps the partial failures of one request.
"""
