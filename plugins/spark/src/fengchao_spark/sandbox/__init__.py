"""
A stand-in for Spark on loopback: it verifies what it is sent as the vendor would, and answers from the prompt.

The markers that steer it are told in `fengchao_core.kit.sandbox`; besides the common faults, any code of the vendor
(`[[fault:11202]]`) is understood, with `after=N` also in the middle of an answer. After a handshake a refusal is a frame
with a code, for there is nothing else it could be; the signed HTTP services refuse an expired signature with HTTP 403.
"""

from fengchao_spark.sandbox.app import (
    API_KEY,
    API_PASSWORD,
    API_SECRET,
    APP_ID,
    build,
    settings_for,
)

__all__ = ["API_KEY", "API_PASSWORD", "API_SECRET", "APP_ID", "build", "settings_for"]
