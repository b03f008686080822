"""The tokens a client signs, and where its secret must not be seen."""

import logging
import traceback

import jwt
import pytest

from fengchao import AuthenticationError, FengChao, FengChaoAsync
from fengchao.signing import Signer

SECRET = "a-secret-of-more-than-thirty-two-bytes"


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now=1_700_000_000.0):
        self.now = now

    def __call__(self):
        """Epoch seconds."""
        return self.now


def test_a_token_is_what_the_published_sdks_send():
    """HS256, `sign_type: SIGN`, `exp` half an hour ahead and `timestamp` now, both in milliseconds."""
    token = Signer("key", SECRET, now=Clock()).token()
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_exp": False})
    assert {"api_key": "key", "exp": 1_700_001_800_000, "timestamp": 1_700_000_000_000} == claims
    assert {"alg": "HS256", "typ": "JWT", "sign_type": "SIGN"} == jwt.get_unverified_header(token)


def test_a_token_is_kept_until_near_its_end():
    """For 25 of its 30 minutes a token is used again; then, or when the clock was set back, there is a new one."""
    clock = Clock()
    signer = Signer("key", SECRET, now=clock)
    first = signer.token()
    clock.now += 25 * 60 - 1
    assert first == signer.token()
    clock.now += 1
    second = signer.token()
    assert first != second
    clock.now -= 3600
    assert second != signer.token()


def test_two_clients_do_not_share_tokens():
    """Tokens belong to a client, not to the process."""
    clock = Clock()
    tokens = {Signer(key, SECRET, now=clock).token() for key in ("one", "two")}
    assert 2 == len(tokens)


@pytest.mark.parametrize(("api_key", "secret"), [("", SECRET), ("key", "")])
def test_half_a_pair_of_keys_does_not_sign(api_key, secret):
    """Without both keys there is no token, but a 401 that says why."""
    with pytest.raises(AuthenticationError, match="未提供"):
        Signer(api_key, secret).token()


def test_the_secret_is_nowhere_to_be_seen(keys, service, caplog):
    """Not in a repr, not in a log of any level, not in an exception with all its locals and causes."""
    caplog.set_level(logging.DEBUG)
    secret = keys["secret_key"]
    seen = [repr(Signer(keys["api_key"], secret)), repr(FengChaoAsync(**keys))]
    service.faults.extend([cut] * 2)
    with FengChao(**keys, errors="raise") as client:
        seen += [repr(client), repr(client.chat("glm-4", query="q"))]
        for call in (
            lambda: client.chat("none", query="q"),
            lambda: list(client.chat("none", query="q", mode="stream")),
        ):
            try:
                call()
            except Exception as error:
                # Without this test's own frame, which holds the keys by right.
                inner = error.__traceback__.tb_next
                seen += traceback.TracebackException(
                    type(error), error, inner, capture_locals=True
                ).format()
    assert "ModelNotFoundError" in seen[-1]
    assert secret not in "".join(seen) + caplog.text


async def cut(request):
    """A fault that hangs up."""
    request.transport.abort()
