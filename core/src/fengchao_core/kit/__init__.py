"""
For plugin authors: what every vendor needs and none should write again.

    kit.http         one pooled session per vendor host, errors from statuses, one refresh on 401, nothing secret let out
    kit.auth         how a request is authorised: by a fixed header or by a token that expires
    kit.errors       vendor codes and HTTP statuses to fengchao's error classes, by table
    kit.redaction    secrets out of what vendors say
    kit.sse          server-sent events from any split of bytes
    kit.openai_chat  the chat-completions dialect as tables, encoder and decoder
    kit.replies      whole replies other than chat, checked by pydantic models
    kit.multipart    forms with files
    kit.sandbox      what emulators of vendors share

Import the modules, not this package: some of them import aiohttp, which a plugin must not do before it is opened.
"""
