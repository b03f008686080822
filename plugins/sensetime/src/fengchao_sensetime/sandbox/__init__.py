"""
A stand-in for SenseNova on loopback: it verifies what it is sent as the vendor would, and answers from the prompt.

The markers that steer it are told in `fengchao_core.kit.sandbox`; besides the common faults, any code of the vendor
(`[[fault:9]]`) and the finish reasons `[[fault:sensitive]]` and `[[fault:context]]` are understood, these two with
`after=N` also in the middle of a stream.
"""

from fengchao_sensetime.sandbox.app import AK, API_KEY, SK, build, settings_for

__all__ = ["AK", "API_KEY", "SK", "build", "settings_for"]
