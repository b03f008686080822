"""
OpenAI's emulator: speaks its documented wire, checks what it is sent as OpenAI does, answers from the prompt.

Keys are `sk-sandbox-` and a name; the name is what `/_sandbox/served` calls the credential.
"""

from fengchao_openai.sandbox.app import KEY_PREFIX, build

__all__ = ["KEY_PREFIX", "build"]
