"""Per-request expert masks for vLLM: see docs/vllm.md."""
