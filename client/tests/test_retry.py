"""What is tried again, how often, and what a user's `Retry` sees of it."""

import pytest
from aiohttp import web
from tenacity import RetryCallState

from fengchao import FengChao, FengChaoAsync, Retry


@pytest.fixture
def client(keys):
    """A client of the service."""
    with FengChao(**keys) as made:
        yield made


def refuses(status, headers=None):
    """A fault that answers an HTTP status."""

    async def fault(request):
        return web.json_response(
            {"status": status, "msg": "稍后再试"},
            status=status,
            headers=headers or {"Retry-After": "0"},
        )

    return fault


async def hangs_up(request):
    """A fault that cuts the connection."""
    request.transport.abort()


async def says_nothing_more(request):
    """A fault that begins a stream and cuts it before the first event."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    request.transport.abort()
    return response


class Recording(Retry):
    """A user's Retry that notes what it is told."""

    retry_num = 3

    def __init__(self):
        self.seen = []

    def before(self, retry_status: RetryCallState) -> None:
        """Before an attempt."""
        self.seen.append(("before", retry_status.attempt_number))

    def before_sleep(self, retry_status: RetryCallState) -> None:
        """Before a wait."""
        self.seen.append(("before_sleep", retry_status.attempt_number))

    def after(self, retry_status: RetryCallState) -> None:
        """After a failed attempt."""
        self.seen.append(("after", retry_status.outcome.exception().status))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_passing_troubles_are_tried_again(client, service, status):
    """Two refusals of a passing kind cost two attempts; the third is the answer."""
    service.faults.extend([refuses(status)] * 2)
    assert 200 == client.chat("glm-4", query="q").status
    assert 3 == len(service.chats())


@pytest.mark.parametrize("status", [400, 401, 404, 443, 445, 500])
def test_lasting_troubles_are_not_tried_again(client, service, status):
    """What will not mend itself is answered at once."""
    service.faults.append(refuses(status))
    result = client.chat("glm-4", query="q")
    assert (status, "稍后再试") == (result.status, result.msg)
    assert 1 == len(service.chats())


def test_a_cut_connection_is_tried_again(client, service):
    """A connection that breaks before the answer costs an attempt."""
    service.faults.append(hangs_up)
    assert 200 == client.chat("glm-4", query="q").status


def test_the_last_failure_is_handed_on(client, service):
    """After three attempts the service's own answer comes back."""
    service.faults.extend([refuses(503)] * 3)
    result = client.chat("glm-4", query="q")
    assert (503, "稍后再试") == (result.status, result.msg)
    assert 3 == len(service.chats())


def test_try_num_limits_the_attempts(client, service):
    """`try_num=1` asks once."""
    service.faults.extend([refuses(503)] * 3)
    client.chat("glm-4", query="q", try_num=1)
    assert 1 == len(service.chats())


def test_try_num_does_not_outlive_its_call(client, service):
    """A call's `try_num` and `retry_action` are its own: the next call has the default again."""
    service.faults.extend([refuses(503)] * 3)
    client.chat("glm-4", query="q", try_num=1, retry_action=Recording())
    assert 200 == client.chat("glm-4", query="q").status


def test_a_wait_too_long_is_not_waited(client, service):
    """A service that asks for an hour gets its answer handed on."""
    service.faults.append(refuses(429, {"Retry-After": "3600"}))
    assert 429 == client.chat("glm-4", query="q").status
    assert 1 == len(service.chats())


def test_the_hooks_of_a_retry_are_called(client, service):
    """`before` for each attempt, `after` for each failed one, `before_sleep` between them."""
    hooks = Recording()
    service.faults.append(refuses(503))
    client.chat("glm-4", query="q", retry_action=hooks)
    assert [("before", 1), ("after", 503), ("before_sleep", 1), ("before", 2)] == hooks.seen


def test_retry_num_of_the_subclass_counts(client, service):
    """A `retry_num` on the class is the number of attempts; `try_num` goes before it."""

    class Twice(Retry):
        retry_num = 2

    service.faults.extend([refuses(503)] * 2)
    assert 503 == client.chat("glm-4", query="q", retry_action=Twice()).status
    service.faults.extend([refuses(503)] * 2)
    assert 200 == client.chat("glm-4", query="q", retry_action=Twice(), try_num=3).status


async def test_the_async_client_calls_the_same_hooks(keys, service):
    """The async client steers by the same class."""
    hooks = Recording()
    service.faults.append(refuses(503))
    await FengChaoAsync(**keys).chat("glm-4", query="q", retry_action=hooks)
    assert [("before", 1), ("after", 503), ("before_sleep", 1), ("before", 2)] == hooks.seen


@pytest.mark.parametrize("fault", [refuses(503), hangs_up, says_nothing_more])
def test_a_stream_is_tried_again_before_its_first_event(client, service, fault):
    """Refused, cut, or begun and cut: as long as nothing was shown, a stream is tried again."""
    service.faults.append(fault)
    events = list(client.chat("glm-4", query="q", mode="stream"))
    assert {200} == {event.status for event in events}
    assert 2 == len(service.chats())


def test_a_time_limit_is_a_408(client, service):
    """A service that does not answer in time is 请求超时, after the attempts there are."""

    async def silence(request):
        import asyncio

        await asyncio.Event().wait()

    service.faults.extend([silence] * 2)
    result = client.chat("glm-4", query="q", timeout=0.5, try_num=2)
    assert (408, "请求超时：服务未在时限内回答") == (result.status, result.msg)
    assert 2 == len(service.chats())


def test_a_hook_that_calls_its_own_client_is_told_so(client, service):
    """A sync call from inside a hook would wait for itself; it is refused instead."""

    class Recursive(Retry):
        def before(self, retry_status: RetryCallState) -> None:  # the hook's shape
            client.models()

    with pytest.raises(RuntimeError, match="retry hook"):
        client.chat("glm-4", query="q", retry_action=Recursive())


def test_every_attempt_carries_the_same_request_id(client, service):
    """A made request id is made once, so that a service can tell attempts from calls."""
    service.faults.append(refuses(503))
    client.chat("glm-4", query="q")
    assert 1 == len({seen["body"]["request_id"] for seen in service.chats()})


def test_attempts_of_a_submit_share_a_key(client, service):
    """The attempts to submit a task carry one idempotency key, another submit another, and other calls none."""
    service.faults.append(refuses(503))
    for _ in range(2):
        client.chat("glm-4", query="q", mode="async")
    client.t2i("painter", "一只猫", mode="async")
    keys = [seen["headers"].get("Idempotency-Key") for seen in service.requests if seen["body"]]
    assert 4 == len(keys)
    assert keys[0] == keys[1]
    assert 3 == len({key for key in keys if key})
    client.chat("glm-4", query="q")
    client.t2i("painter", "一只猫")
    assert all("Idempotency-Key" not in seen["headers"] for seen in service.requests[-2:])
