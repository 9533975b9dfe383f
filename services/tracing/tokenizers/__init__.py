"""What a tokenizer's file says, made lossless: `file` reads it and tells the kinds apart, a module each.

`byte_level` (GPT-2, Llama 3, SmolLM2), `sentencepiece` (Llama 2, Mistral, Gemma) and `plain`, which is bytes and has
no file. Only `services.tracing.tokenizer` imports these.
"""
