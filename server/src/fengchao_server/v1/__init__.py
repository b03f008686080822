"""`/v1`: the chat-completions API in OpenAI's shape, for unmodified OpenAI clients."""
