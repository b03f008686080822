"""
The bare forwarder every figure is compared with: one aiohttp server, one aiohttp client session, nothing between.

It checks one key, swaps it for the vendor's, passes the body on and the answer back; event streams pass as they come.
A gateway on this stack cannot be quicker; how near it comes is what the benchmarks tell.

    python forwarder.py --port 9101 --upstream http://127.0.0.1:9900
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

KEY = "Bearer sk-bench"
TOWARDS_VENDOR = {"Authorization": "Bearer sk-upstream", "Content-Type": "application/json"}
SESSION = web.AppKey("session", ClientSession)


def build(upstream: str) -> web.Application:
    """Make the application that forwards everything under `/v1/` to `upstream`."""

    async def lend_session(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(
            connector=TCPConnector(limit=0), timeout=ClientTimeout(total=600)
        ) as session:
            app[SESSION] = session
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != KEY:
            return web.json_response({"error": {"message": "no such key"}}, status=401)
        body = await request.read()
        session = request.app[SESSION]
        async with session.post(
            upstream + request.path, data=body, headers=TOWARDS_VENDOR
        ) as answer:
            if answer.content_type != "text/event-stream":
                whole = await answer.read()
                return web.Response(
                    body=whole, status=answer.status, content_type="application/json"
                )
            response = web.StreamResponse(
                status=answer.status, headers={"Content-Type": "text/event-stream"}
            )
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app = web.Application()
    app.cleanup_ctx.append(lend_session)
    app.router.add_post("/v1/{tail:.*}", forward)
    return app


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description="the bare aiohttp forwarder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="base URL without a path")
    args = parser.parse_args()
    app = build(args.upstream)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=args.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
