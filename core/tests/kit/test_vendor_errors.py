"""Vendor codes and HTTP statuses to error classes, and how long to wait."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from fengchao_core.errors import (
    ContentRefused,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.kit.errors import classify_by, read_error, retry_after_s
from fengchao_core.testing import FakeClock

classify = classify_by(
    {
        "busy": ProviderOverloaded,
        "1301": ContentRefused,
        "Limit": RateLimited,
        "quota": QuotaExhausted,
    }
)


@pytest.mark.parametrize(
    ("body", "codes", "message"),
    [
        (b'{"error": {"message": "m", "type": "t", "code": "c"}}', ("c", "t"), "m"),
        (b'{"error": {"message": "m", "type": "t", "code": null}}', ("t",), "m"),
        (b'{"error": {"message": "m", "code": 1301}}', ("1301",), "m"),
        (b'{"error": "m"}', (), "m"),
        (b'{"object": "error", "message": "m", "type": "t", "code": 400}', ("400", "t"), "m"),
        (b'{"code": 50505, "message": "m", "data": null}', ("50505",), "m"),
        (b'{"code": 500, "msg": "m", "success": false}', ("500",), "m"),
        (b'{"detail": "m"}', (), "m"),
        (b'{"detail": [{"loc": ["x"]}]}', (), '[{"loc":["x"]}]'),
        (b'{"base_resp": {"status_code": 1008, "status_msg": "m"}}', ("base_resp.1008",), "m"),
        (b'[{"error": {"message": "m", "code": "c"}}]', ("c",), "m"),
        (b"<html>", (), "<html>"),
        (b"", (), None),
        (b"null", (), None),
        (b'{"error": {"code": true, "message": 5}}', (), "5"),
    ],
)
def test_error_bodies_are_taken_apart(
    body: bytes, codes: tuple[str, ...], message: str | None
) -> None:
    """Each of the shapes that vendors use."""
    facts = read_error(body)
    assert codes == facts.codes
    assert message == facts.message


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "busy", ProviderOverloaded),
        (400, 1301, ContentRefused),
        (400, "Limit.RPM.Account", RateLimited),
        (429, "unknown", RateLimited),
        (418, None, RequestRejected),
        (400, None, RequestRejected),
        (401, None, ProviderAuthFailed),
        (402, None, QuotaExhausted),
        (403, None, ProviderAuthFailed),
        (404, None, RequestRejected),
        (409, None, ProviderUnavailable),
        (429, None, RateLimited),
        (500, None, ProviderUnavailable),
        (503, None, ProviderOverloaded),
        (599, None, ProviderUnavailable),
        (200, "unknown", ProviderError),
        (200, 429, RateLimited),
        (200, None, ProviderError),
    ],
)
def test_codes_decide_before_statuses(status: int, code: object, kind: type[ProviderError]) -> None:
    """A known code outranks the status, a dotted one counts by its first part, and unknown ones are kept."""
    error = classify(status, {}, orjson.dumps({"error": {"message": "m", "code": code}}))
    assert kind is type(error)
    assert status == error.status
    assert error.vendor_code == (None if code is None else str(code))
    assert "m" == error.vendor_message


def test_the_message_never_decides() -> None:
    """A message full of telling words changes nothing."""
    error = classify(400, {}, b'{"error": {"message": "quota exceeded, rate limit, busy 1301"}}')
    assert RequestRejected is type(error)


def test_the_error_type_counts_where_the_code_is_unknown() -> None:
    """`type` is looked up after `code`."""
    error = classify(429, {}, b'{"error": {"message": "m", "code": "x", "type": "quota"}}')
    assert QuotaExhausted is type(error)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "error",
                        "code",
                        "type",
                        "message",
                        "msg",
                        "base_resp",
                        "status_code",
                        "detail",
                    ]
                ),
                x,
                max_size=5,
            )
        ),
    ).map(orjson.dumps),
    st.integers(200, 599),
)
def test_any_body_is_classified(body: bytes, status: int) -> None:
    """Whatever comes, an error comes out of it."""
    assert isinstance(classify(status, {}, body), ProviderError)


NOW = FakeClock().now()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"Retry-After": " 3 "}, 3.0),
        ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After-Ms": "soon", "Retry-After": "9"}, 9.0),
        ({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90.0),
        ({"Retry-After": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "later"}, None),
        ({"Retry-After": ""}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], expected: float | None) -> None:
    """Milliseconds before seconds, seconds or a date, and nothing that makes no sense."""
    assert expected == retry_after_s(CIMultiDict(headers), NOW)


@given(st.text())
def test_any_wait_is_survived(value: str) -> None:
    """Whatever a vendor asks for, it is a number of seconds or nothing."""
    waited = retry_after_s({"retry-after": value, "retry-after-ms": value}, NOW)
    assert waited is None or waited >= 0
