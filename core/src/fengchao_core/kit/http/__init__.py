"""
The transport under every HTTP vendor: pooled sessions, errors from statuses, one refresh on 401, nothing secret let out.

`Sessions` belongs to the gateway. A provider makes one `VendorHttp` when it is opened, and per call one `Exchange`:

    async with self._http.post("/chat/completions", body) as answer:
        async for read in answer:  # a stream; or `await answer.read()` for the whole
            yield decoder.decode(parser.feed(read))

Time limits, retries and metering are the pipeline's; here only the connect limit is in force. Redirects are not followed,
since credentials would travel with them.
"""

from fengchao_core.kit.http.exchange import MAX_ERROR_BYTES, Exchange
from fengchao_core.kit.http.sessions import Sessions
from fengchao_core.kit.http.vendor import MAX_BODY_BYTES, VendorHttp

__all__ = ["MAX_BODY_BYTES", "MAX_ERROR_BYTES", "Exchange", "Sessions", "VendorHttp"]
