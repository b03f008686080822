"""
A stand-in for Qianfan on loopback: it verifies what it is sent as the vendor would, and answers from the prompt.

The markers that steer it are told in `fengchao_core.kit.sandbox`. Besides the common faults, any code of the vendor is
understood (`[[fault:336100]]`, `[[fault:tpm_rate_limit_exceeded]]`), and `[[fault:bare_line after=2]]`, an error that stands in
a stream of V1 without `data:` before it. V1 shows unsafe input as `need_clear_history`, not as an error; so does this.
"""

from fengchao_qianfan.sandbox.app import build, settings_for
from fengchao_qianfan.sandbox.doorkeeper import (
    AK,
    API_KEY,
    IAM_AK,
    IAM_SK,
    SK,
)

__all__ = ["AK", "API_KEY", "IAM_AK", "IAM_SK", "SK", "build", "settings_for"]
