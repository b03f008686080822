"""Spark keeps to the provider contract, over WebSocket and over its HTTP API."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence

import orjson
import pytest
from typing_extensions import override

import fengchao_spark
from fengchao_core.errors import (
    ContentRefused,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocolError,
    ProviderUnavailable,
    RequestRejected,
)
from fengchao_core.testing import (
    Answer,
    Do,
    ErrorCase,
    ProviderContract,
    ScriptedVendor,
    deltas_of,
    json_answer,
    open_provider,
)
from fengchao_core.testing.vendor import Received, Step, Talk
from fengchao_spark.codes import ERRORS

APP_ID, KEY, SECRET = "a1b2c3d4", "0123456789abcdef0123456789abcdef", "ZmFrZS1zZWNyZXQtZm9yLXRlc3Q="
PASSWORD = "FakeKeyAAAA:FakeSecretBBBB"


def frame(
    text: str | None, status: int, *, code: int = 0, usage: Mapping[str, int] | None = None
) -> bytes:
    """A frame as the vendor writes it."""
    header = {"code": code, "message": "Success", "sid": "cht000cb087@dx1", "status": status}
    said = [] if text is None else [{"content": text, "role": "assistant", "index": 0}]
    payload: dict[str, object] = {"choices": {"status": status, "seq": 0, "text": said}}
    if usage is not None:
        payload["usage"] = {"text": {"question_tokens": 1, **usage}}
    return orjson.dumps({"header": header, "payload": payload})


class TestWebSocket(ProviderContract):
    """The contract, over signed WebSockets."""

    spec = fengchao_spark.SPEC
    model = "generalv3.5"
    secrets = (KEY, SECRET)
    splits_bytes = False
    reuses_connections = False
    errors = (
        ErrorCase(401, b'{"message":"Unauthorized"}', ProviderAuthFailed),
        ErrorCase(401, b'{"message":"HMAC signature does not match"}', ProviderAuthFailed),
        ErrorCase(403, b'{"message":"HMAC signature cannot be verified"}', ProviderAuthFailed),
        ErrorCase(503, b"<html>", ProviderOverloaded),
        ErrorCase(502, b"", ProviderUnavailable),
        ErrorCase(404, b"", RequestRejected),
        # Codes at the handshake are not documented; where one comes, it decides.
        *(
            ErrorCase(400, b'{"header":{"code":%s}}' % code.encode(), kind, code)
            for code, kind in ERRORS.items()
        ),
    )
    error_frame = (frame("", 2, code=10014), ContentRefused)
    malformed_frame = b'{"header": {]}'

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        ws = base_url.replace("http", "ws", 1)
        return {"base_url": ws, "app_id": APP_ID, "api_key": KEY, "api_secret": SECRET}

    @override
    def stream_answer(self, *steps: Step) -> Talk:  # type: ignore[override]  # an answer over WebSocket
        return Talk((Do.RECEIVE, *(_as_text(step) for step in steps)))

    @override
    def whole_answer(self, body: bytes) -> Talk:  # type: ignore[override]  # likewise
        return Talk((Do.RECEIVE, _as_text(body)))

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        pieces = [text[at : at + 2] for at in range(0, len(text), 2)]
        return [*(frame(piece, min(at, 1)) for at, piece in enumerate(pieces)), self._end]

    @override
    def whole(self, text: str) -> bytes:
        return frame(text, 2, usage=self._usage_body)

    @override
    def error_body(self, message: str) -> bytes:
        return orjson.dumps({"message": message})

    @override
    def sent_parameters(self, received: Received) -> Mapping[str, object]:
        sent: Mapping[str, object] = orjson.loads(received.messages[0])["parameter"]["chat"]
        return sent

    @property
    def _end(self) -> bytes:
        return frame(None, 2, usage=self._usage_body)

    @property
    def _usage_body(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "total_tokens": self.usage.total_tokens,
        }


def _as_text(step: Step) -> Step:
    """The vendor sends text; what is no text goes as it is, for the tests of nonsense."""
    if not isinstance(step, bytes):
        if callable(step) and not isinstance(step, type):
            return lambda received: tuple(_as_text(each) for each in step(received))
        return step
    try:
        return step.decode()
    except UnicodeDecodeError:
        return step


class TestHttp(ProviderContract):
    """The contract, over the HTTP API."""

    spec = fengchao_spark.SPEC
    model = "4.0Ultra"
    secrets = (PASSWORD,)
    errors = (
        ErrorCase(
            401,
            b'{"error":{"message":"invalid user","type":"api_error","param":null,"code":null}}',
            ProviderAuthFailed,
        ),
        *(
            ErrorCase(400, b'{"error":{"message":"no","code":"%s"}}' % code.encode(), kind, code)
            for code, kind in ERRORS.items()
        ),
        # Under HTTP 200, flat; beside choices, too.
        *(
            ErrorCase(200, b'{"code":%s,"message":"no","sid":"s"}' % code.encode(), kind, code)
            for code, kind in ERRORS.items()
        ),
        ErrorCase(200, b'{"code":11202,"message":"no","choices":[]}', ERRORS["11202"], "11202"),
    )
    error_frame = (b'data:{"code":10014,"message":"no","sid":"s","choices":[]}\n\n', ContentRefused)

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"http_base_url": f"{base_url}/v1", "api_password": PASSWORD}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        # No space after the colon, no finish reason, the usage in the last chunk.
        pieces = [text[at : at + 2] for at in range(0, len(text), 2)]
        chunks: list[dict[str, object]] = [
            {
                "code": 0,
                "message": "Success",
                "sid": "s",
                "choices": [{"delta": {"role": "assistant", "content": piece}, "index": 0}],
            }
            for piece in pieces
        ]
        chunks[-1]["usage"] = self._usage_body
        return [*(b"data:" + orjson.dumps(each) + b"\n\n" for each in chunks), b"data:[DONE]\n\n"]

    @override
    def whole(self, text: str) -> bytes:
        message = {"role": "assistant", "content": text}
        return orjson.dumps(
            {
                "code": 0,
                "message": "Success",
                "sid": "s",
                "choices": [{"message": message, "index": 0}],
                "usage": self._usage_body,
            }
        )

    @property
    def _usage_body(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "total_tokens": self.usage.total_tokens,
        }


# What the contract does not ask of a WebSocket.

SETTINGS = TestWebSocket().settings


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_codes_in_frames_become_their_class(code: str, stream: bool) -> None:
    """Each documented code in a frame becomes exactly its class, with the vendor's `sid`, before any answer."""
    body = {"header": {"code": int(code), "message": "不行", "sid": "cht1@dx", "status": 2}}
    async with (
        ScriptedVendor() as vendor,
        open_provider(fengchao_spark.SPEC, SETTINGS(vendor.base_url)) as provider,
    ):
        vendor.answers(Talk((Do.RECEIVE, orjson.dumps(body).decode())))
        with pytest.raises(ProviderError) as caught:
            await deltas_of(provider, TestWebSocket().request(stream=stream))
    error = caught.value
    assert ERRORS[code] is type(error)
    assert (code, "不行", "cht1@dx", "spark") == (
        error.vendor_code,
        error.vendor_message,
        error.vendor_request_id,
        error.provider,
    )


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer((b"",), 302, {"Location": "http://127.0.0.1:1/"}), ProviderProtocolError),
        (
            Answer(
                (b"",),
                101,
                {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": "no"},
            ),
            ProviderProtocolError,
        ),
        (Talk((Do.RECEIVE, "x" * (4 * 1024 * 1024 + 1))), ProviderProtocolError),
        (Talk((Do.RECEIVE,), 1011), ProviderUnavailable),
    ],
)
async def test_broken_talks_become_errors(answer: Answer | Talk, kind: type[ProviderError]) -> None:
    """A redirect is not followed; a broken handshake, a boundless message and an early goodbye are told apart."""
    async with (
        ScriptedVendor() as vendor,
        open_provider(fengchao_spark.SPEC, SETTINGS(vendor.base_url)) as provider,
    ):
        vendor.answers(answer)
        with pytest.raises(ProviderError) as caught:
            await deltas_of(provider, TestWebSocket().request(stream=True))
    assert kind is type(caught.value)


async def test_a_goodbye_is_said_to_a_vendor_that_says_none() -> None:
    """After the last frame the connection is closed, also where the vendor never closes it."""
    frames = [each.decode() for each in TestWebSocket().frames("你好")]
    async with (
        ScriptedVendor() as vendor,
        open_provider(fengchao_spark.SPEC, SETTINGS(vendor.base_url)) as provider,
    ):
        vendor.answers(Talk((Do.RECEIVE, *frames, Do.HANG)))
        deltas = await deltas_of(provider, TestWebSocket().request(stream=True))
        received = await vendor.request(1)
        await received.closed_by_client.wait()
    assert "stop" == deltas[-1].finish_reason


async def test_an_authorization_that_is_said_back_is_hidden() -> None:
    """A vendor that says the signed URL back to us does not get it into an error."""
    told: list[str] = []

    def echo(received: Received) -> Answer:
        told.append(received.query["authorization"])
        return json_answer({"message": f"{received.target} {told[-1]}"}, status=401)

    async with (
        ScriptedVendor() as vendor,
        open_provider(fengchao_spark.SPEC, SETTINGS(vendor.base_url)) as provider,
    ):
        vendor.answers(echo)
        with pytest.raises(ProviderAuthFailed) as caught:
            await deltas_of(provider, TestWebSocket().request(stream=True))
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert "/v3.5/chat" in shown
    assert not [part for value in told for part in (value, value[-20:]) if part in shown]
