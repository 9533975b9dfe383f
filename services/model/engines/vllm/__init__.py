"""The engine on vLLM, which runs in a process and an environment of its own: candor_vllm.host, in `vllm_plugin`.

`engine` is the engine, `hosts` where the process comes from, `link` the connection, `calls` and `texts` the requests
under way, `messages` the wire.
"""
