"""
The engine: one model in a process of its own, spoken to over HTTP on loopback in the chat-completions dialect.

Only `loading`, `sampler`, `batching`, `plain`, `encoder` and `stand_in` touch torch or transformers, and only this
process imports those modules.
"""
