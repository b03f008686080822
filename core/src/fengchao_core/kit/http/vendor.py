"""HTTP to one vendor, as one provider's settings have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from aiohttp import ClientSession, ClientTimeout, ConnectionTimeoutError
from multidict import CIMultiDict
from typing_extensions import override
from yarl import URL

from fengchao_core.errors import ProviderError, ProviderTimeout, ProviderUnavailable, SettingsError
from fengchao_core.kit.auth import Authoriser
from fengchao_core.kit.errors import Classify, retry_after_s
from fengchao_core.kit.http.exchange import MAX_ERROR_BYTES, Exchange
from fengchao_core.kit.http.line import Line, line_to
from fengchao_core.kit.multipart import Form
from fengchao_core.kit.redaction import Redactor, secrets_of

if TYPE_CHECKING:
    from fengchao_core.provider import ProviderContext, ProviderSettings

MAX_BODY_BYTES = 32 * 1024 * 1024

_REQUEST_IDS = ("x-request-id", "request-id", "x-log-id")


class VendorHttp:
    """
    HTTP to one vendor, as one provider's settings have it. Serves any number of concurrent calls; opens nothing itself.

    Every `ProviderError` that leaves it, or passes through one of its exchanges, carries the provider's name, and holds
    no secret: neither the settings' `SecretStr` values nor tokens nor the queries of URLs.

    Args:
        context: the gateway's sessions, clock and limits.
        settings: `base_url`, `max_connections` and `proxy` are taken from them, and all secrets to be kept in.
        authoriser: puts the credentials on each request.
        classify: makes errors of answers with a status of 400 or more; see `kit.errors.classify_by`.
        base_url: instead of the settings' own, for vendors with several addresses.
        headers: sent with every request.
        max_body_bytes: the longest body that is not a stream.
        secrets: further values to keep in: halves of a key, say.

    Raises:
        SettingsError: the base URL or the proxy is not an absolute http(s) URL.
    """

    def __init__(
        self,
        context: ProviderContext,
        settings: ProviderSettings,
        authoriser: Authoriser,
        classify: Classify,
        *,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        secrets: Iterable[str] = (),
    ) -> None:
        self.name = context.name
        self.clock = context.clock
        self.authoriser = authoriser
        self.max_body_bytes = max_body_bytes
        self.connect_s = context.limits.connect_s
        # Name look-up and the wait for a free connection of the pool are not counted: they pass the limit on the first
        # delta instead, so that a full pool is not taken for a vendor that is down.
        self.timeout = ClientTimeout(total=None, sock_connect=context.limits.connect_s)
        self.proxy = _proxy(context.name, settings.proxy)
        self._base = _base(context.name, base_url or settings.base_url)
        self._prefix = str(self._base.with_query(None)).rstrip("/")
        self._suffix = f"?{self._base.raw_query_string}" if self._base.raw_query_string else ""
        self._sessions = context.sessions
        self._max_connections = settings.max_connections
        self._session: ClientSession | None = None
        self._classify = classify
        own = (*secrets_of(settings), *secrets)
        self._redactor = Redactor(lambda: (*own, *authoriser.secrets()))
        # Made once, and in aiohttp's own type: a provider sends the same headers again and again.
        self._headers = CIMultiDict({"Accept": "application/json", **(headers or {})})
        self._headers.update(authoriser.fixed or {})
        self._json_headers = self._with_type("application/json")
        self._posts: dict[str, tuple[URL, Line | None]] = {}

    @override
    def __repr__(self) -> str:
        return f"<VendorHttp {self.name}>"

    @property
    def session(self) -> ClientSession:
        """The pooled session, opened by the gateway's `Sessions` on first use."""
        session = self._session
        if session is None or session.closed:
            session = self._session = self._sessions.session(
                self._base, max_connections=self._max_connections
            )
        return session

    def url(self, path: str) -> URL:
        """The base URL with a path (already percent-encoded, `/` first) appended; a query of the base URL stays."""
        return URL(self._prefix + path + self._suffix, encoded=True)

    def post(self, path: str, body: bytes) -> Exchange:
        """An exchange that posts JSON; the path should be one of few, since its URL is kept."""
        known = self._posts.get(path)
        if known is None:
            url = self.url(path)
            is_fixed = self.authoriser.fixed is not None
            line = line_to(self, url, self._json_headers) if is_fixed else None
            known = self._posts[path] = url, line
        return Exchange(self, "POST", known[0], self._json_headers, body, line=known[1])

    def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
    ) -> Exchange:
        """An exchange of any kind; `params` become the query."""
        url = self.url(path)
        headers = self._headers if content_type is None else self._with_type(content_type)
        return Exchange(self, method, url.update_query(params) if params else url, headers, body)

    async def post_json(self, path: str, body: bytes) -> bytes:
        """Post JSON and get the whole answer. Raises `ProviderError`, as all of these."""
        async with self.post(path, body) as answer:
            return await answer.read()

    async def get(self, path: str, *, params: Mapping[str, str] | None = None) -> bytes:
        """Get a whole answer."""
        async with self.exchange("GET", path, params=params) as answer:
            return await answer.read()

    async def delete(self, path: str) -> bytes:
        """Delete something and get the whole answer."""
        async with self.exchange("DELETE", path) as answer:
            return await answer.read()

    async def post_form(self, path: str, form: Form) -> bytes:
        """Post `multipart/form-data` (made by `kit.multipart.form`) and get the whole answer."""
        content_type, body = form
        async with self.exchange("POST", path, body=body, content_type=content_type) as answer:
            return await answer.read()

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error that an answer means, named and redacted; for errors that vendors send under HTTP 200, too."""
        error = self._classify(status, headers, body[:MAX_ERROR_BYTES])
        if error.retry_after is None:
            error.retry_after = retry_after_s(headers, self.clock.now())
        if error.vendor_request_id is None:
            error.vendor_request_id = next(
                (v for key in _REQUEST_IDS if (v := headers.get(key))), None
            )
        if (again := headers.get("x-should-retry")) in ("true", "false"):
            # The vendor knows better than the class; an instance's own attribute outranks it.
            vars(error)["retryable"] = again == "true"
        return self.dress(error)

    def dress(self, error: ProviderError) -> ProviderError:
        """The same error with the provider's name on it and no secret in it."""
        error.provider = error.provider or self.name
        self._redactor.error(error)
        return error

    def failure(self, error: BaseException, doing: str) -> ProviderError:
        """
        The error that a failure of the network means.

        It is told by its class and its system error only: aiohttp's texts and attributes hold URLs and headers.
        """
        # aiohttp keeps some of these errors, and with them the frames of a request and its body.
        error.__traceback__ = None
        if isinstance(error, ConnectionTimeoutError):
            return ProviderTimeout("connect", self.connect_s, provider=self.name)
        cause = getattr(error, "os_error", error)
        reason = (
            cause.strerror
            if isinstance(cause, OSError) and cause.strerror
            else type(error).__name__
        )
        return self.dress(ProviderUnavailable(f"{doing}: {reason}", provider=self.name))

    def _with_type(self, content_type: str) -> CIMultiDict[str]:
        headers = self._headers.copy()
        headers.setdefault("Content-Type", content_type)
        return headers


def _base(name: str, base_url: str) -> URL:
    url = _http_url(base_url)
    if url is None or url.user is not None:
        raise SettingsError(
            f"provider '{name}': 'base_url' is not an http(s) URL with a host and without credentials; "
            f"expected something like https://api.example.com/v1 under [providers.{name}]"
        )
    return url.with_fragment(None)


def _proxy(name: str, proxy: str | None) -> URL | None:
    if not proxy:
        return None
    url = _http_url(proxy)
    if url is None:
        raise SettingsError(
            f"provider '{name}': 'proxy' is not an http(s) URL with a host; "
            f"expected something like http://127.0.0.1:8080 under [providers.{name}]"
        )
    return url


def _http_url(text: str) -> URL | None:
    try:
        url = URL(text)
    except ValueError:
        return None
    return url if url.scheme in ("http", "https") and url.host else None
