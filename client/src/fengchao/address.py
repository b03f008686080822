"""Where the service is: an argument or an environment variable, checked while a client is made."""

from __future__ import annotations

import os
import warnings
from urllib.parse import urlsplit

from fengchao.errors import ClientSetupError

ENV_BASE_URL = "FENGCHAO_BASE_URL"


def checked_base_url(base_url: str | None) -> str:
    """
    The address without its closing slash. A path in it is kept, for a service behind a gateway of its own.

    Raises:
        ClientSetupError: there is none, or it is none; it is not repeated.
    """
    address = base_url or os.environ.get(ENV_BASE_URL) or ""
    if not address:
        raise ClientSetupError(
            f"缺少服务地址：请传入 base_url，或设置环境变量 {ENV_BASE_URL}；"
            "不经服务、在本进程内使用时，请传入 gateway 或 settings "
            f"(no address: give base_url, or set {ENV_BASE_URL}, or embed a gateway)"
        )
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise ClientSetupError(
            "base_url 应形如 http://host:port (base_url must look like http://host:port)"
        )
    if parts.username is not None or parts.password is not None:
        raise ClientSetupError(
            "base_url 中不能包含用户名或密码 (base_url must not hold a user name or a password)"
        )
    return address.rstrip("/")


def warn_of_logger_level() -> None:
    """Say that a parameter of 2.x has no effect any more."""
    warnings.warn(
        "logger_level has no effect: use logging.getLogger('fengchao').setLevel(...) instead",
        DeprecationWarning,
        stacklevel=3,
    )
