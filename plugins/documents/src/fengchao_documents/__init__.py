"""
Readers of documents: each a function from a path to pieces of text.

They run in a process of their own that knows nothing of the gateway, so nothing here but `plugin` imports it.
"""
