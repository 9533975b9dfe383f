"""A process that runs vLLM with the plugin and serves it to Candor's model service: `python -m candor_vllm.host`.

It speaks newline-delimited JSON, UTF-8, on a Unix or TCP stream socket; `wire` has every message and its bounds. The
host greets with `hello`. Requests carry an id that the client chooses, and many run at once on one connection:

    -> {"do": "generate", "id": "a", "prompt": [5, 9], "allowed": [0, 2], "n": 2, "max_tokens": 8, ...}
    <- {"event": "tokens", "id": "a", "choice": 0, "allowed": [0, 2], "tokens": [7], "logprobs": [-0.3],
        "means": [-9.1], "top": [[]], "routing": [[0.6, 0.0, 0.4, 0.0]], "finish": null}      until all have a finish
    -> {"do": "score", "id": "b", "tokens": [5, 9, 4], "allowed": [0], "top": 0}
    <- {"event": "scored", "id": "b", "allowed": [0], "logprobs": [...], "means": [...], "variances": [...], ...}
    -> {"do": "route", "id": "c", "tokens": [5, 9, 4], "allowed": [0], "predict": true}
    <- {"event": "routed", "id": "c", "allowed": [0], "probabilities": [[[1.0, ...], ...], ...], "chosen": [...], ...}
    -> {"do": "cancel", "id": "a"}                                 no answer; an unknown id is nothing
    -> {"do": "ping"}
    <- {"event": "pong", "under_way": 0}

What cannot be understood or computed is answered with `failed` and, where one is known, the request's id. `allowed`
in an answer is the mask that vLLM's worker laid for its tokens, to be compared with what was asked. A connection that
closes takes all its requests with it. There is no authentication: a Unix socket is open to its owner only, a TCP one
to whoever reaches it.
"""
