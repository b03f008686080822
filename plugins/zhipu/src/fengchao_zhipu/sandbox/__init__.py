"""A stand-in for Zhipu on loopback: it verifies what it is sent as the vendor would, and answers from the prompt."""

from fengchao_zhipu.sandbox.app import API_KEY, BASE_PATH, build, settings_for

__all__ = ["API_KEY", "BASE_PATH", "build", "settings_for"]
