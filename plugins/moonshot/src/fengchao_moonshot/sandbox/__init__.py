"""
Moonshot's stand-in: speaks its documented wire, checks what it is sent as Moonshot does, answers from the prompt.

Keys are `sk-sandbox-` and a name; the name is what `/_sandbox/served` calls the credential.
"""

from fengchao_moonshot.sandbox.app import KEY_PREFIX, build

__all__ = ["KEY_PREFIX", "build"]
