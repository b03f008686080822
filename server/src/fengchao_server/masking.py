"""What a secret looks like in a text that somebody else wrote, so that it can be masked before the text is kept."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

SECRET_VALUES: Final = re.compile(
    r"(?i:bearer)\s+\S+"
    r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
    r"|\bsk-[\w.-]{8,}"
    r"|(?i:(?:api_key|secret_key|secret|token|access_token|signature|authorization)=)[^&\s\"']+"
)


def masked(text: str) -> str:
    """The text without what looks like a secret. To be done before a text is cut: half a secret looks like none."""
    return SECRET_VALUES.sub(MASK, text)
