"""
Signed URLs for Spark.

Source: the vendor's authentication page, and the requests of its SDK (spark-ai-python 0.4.5), recorded;
`tests/vectors/spark.json`. A signed URL is good for 300 s by the vendor's clock; there is no token to keep.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256
from urllib.parse import quote_plus, urlsplit

LIFETIME_S = 300
"""By how much the date of a signed URL may differ from the vendor's clock."""


def string_to_sign(method: str, host: str, path: str, date: str) -> str:
    """What is signed; `host` with its port where the URL has one, `date` as it is sent."""
    return f"host: {host}\ndate: {date}\n{method} {path} HTTP/1.1"


def signature(secret: str, text: str) -> str:
    """The signature of a text. The secret looks like base64, but is taken as it stands."""
    return b64encode(hmac.digest(secret.encode(), text.encode(), sha256)).decode()


def authorization(api_key: str, signed: str) -> str:
    """The value of the parameter `authorization`."""
    return b64encode(f'{authorization_head(api_key)}{signed}"'.encode()).decode()


def authorization_head(api_key: str) -> str:
    """The plain text of an authorization up to its signature."""
    return (
        f'api_key="{api_key}", algorithm="hmac-sha256", '
        f'headers="host date request-line", signature="'
    )


def sign_url(
    url: str, *, method: str, api_key: str, api_secret: str, now: datetime
) -> tuple[str, str]:
    """
    Sign a URL.

    Args:
        url: without a query.
        method: `GET` for a WebSocket, `POST` for the HTTP services.
        now: an aware UTC instant by the vendor's clock.

    Returns:
        the signed URL, and the authorization in it.
    """
    parts = urlsplit(url)
    date = format_datetime(now, usegmt=True)
    text = string_to_sign(method, parts.netloc, parts.path or "/", date)
    value = authorization(api_key, signature(api_secret, text))
    query = (
        f"authorization={quote_plus(value)}&date={quote_plus(date)}&host={quote_plus(parts.netloc)}"
    )
    return f"{url}?{query}", value
