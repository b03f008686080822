"""
A stand-in for Anthropic on loopback: it verifies what it is sent as the vendor would, and answers from the prompt.

The markers that steer it are told in `fengchao_core.kit.sandbox`; besides the common faults, each of the vendor's error
types (`[[fault:billing_error]]`) is understood, and `[[fault:refusal]]`, which ends an answer as the vendor's own safety
does, both with `after=N` also in the middle of a stream.
"""

from fengchao_anthropic.sandbox.house import API_KEY, build, settings_for

__all__ = ["API_KEY", "build", "settings_for"]
