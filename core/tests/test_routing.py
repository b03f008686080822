"""Which deployment is asked next."""

from collections import Counter

from fengchao_core.errors import ProviderUnavailable, RateLimited, RequestRejected
from fengchao_core.routing import Breaker, Deployment, Route
from fengchao_core.settings import RoutingSettings
from fengchao_core.types import ModelCard

SETTINGS = RoutingSettings(failures=2, cooldown_s=10, max_cooldown_s=40)


class Now:
    """A clock that stands still."""

    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


def deployment(name, now, weight=1):
    card = ModelCard(id="m", owned_by="v")
    return Deployment(name, None, card, Breaker(SETTINGS, now), weight)


def ask(*groups):
    return Route(groups).next().provider_name


def test_healthy_deployments_are_taken_by_weight():
    """Calls are shared in proportion to the weights."""
    now = Now()
    group = [deployment("a", now, 3), deployment("b", now, 1)]
    assert Counter(a=6, b=2) == Counter(ask(group) for _ in range(8))


def test_one_call_tries_each_before_any_again():
    """Within a call the next attempt goes to another deployment, then to the fallbacks, then round again."""
    now = Now()
    route = Route([[deployment("a", now), deployment("b", now)], [deployment("f", now)]])
    names = [route.next().provider_name for _ in range(4)]
    assert ({"a", "b"}, "f") == (set(names[:2]), names[2])
    assert names[3] in {"a", "b"}


def test_a_failing_deployment_rests_then_is_probed_once():
    """After the set number of failures it is left alone; when the rest ends one request probes it."""
    now = Now()
    a, b = deployment("a", now), deployment("b", now)
    for _ in range(2):
        a.breaker.started()
        a.breaker.failed(ProviderUnavailable("down"))
    assert {"b"} == {ask([a, b]) for _ in range(5)}
    now.at += 11
    names = [ask([a, b]) for _ in range(4)]
    assert names.count("a") == 1


def test_a_failed_probe_doubles_the_rest():
    """Each failed probe rests twice as long, up to the limit."""
    now = Now()
    a = deployment("a", now)
    for _ in range(2):
        a.breaker.failed(ProviderUnavailable("down"))
    rests = []
    for _ in range(4):
        now.at = a.breaker.until + 1
        a.breaker.started()
        a.breaker.failed(ProviderUnavailable("down"))
        rests.append(a.breaker.until - now.at)
    assert rests == [20, 40, 40, 40]


def test_success_closes_the_circuit():
    """A probe that succeeds brings the deployment back."""
    now = Now()
    a, b = deployment("a", now), deployment("b", now)
    for _ in range(2):
        a.breaker.failed(ProviderUnavailable("down"))
    now.at += 11
    a.breaker.started()
    a.breaker.succeeded()
    assert {"a", "b"} == {ask([a, b]) for _ in range(4)}


def test_a_vendor_that_names_a_time_is_left_alone_until_then():
    """Retry-After rests a deployment at once, for that long."""
    now = Now()
    a, b = deployment("a", now), deployment("b", now)
    a.breaker.failed(RateLimited("slow down", retry_after=7))
    assert ({"b"}, 107) == ({ask([a, b]) for _ in range(4)}, a.breaker.until)


def test_the_requests_own_fault_rests_nobody():
    """A request the vendor calls malformed says nothing of the deployment."""
    now = Now()
    a = deployment("a", now)
    for _ in range(5):
        a.breaker.failed(RequestRejected("bad"))
    assert not a.breaker.is_open


def test_a_resting_deployment_is_asked_when_there_is_no_other():
    """Refusing without trying helps nobody."""
    now = Now()
    a = deployment("a", now)
    for _ in range(2):
        a.breaker.failed(ProviderUnavailable("down"))
    assert ask([a]) == "a"


def test_a_probe_whose_caller_left_frees_the_place():
    """A probe that tells nothing does not keep the circuit half open for ever."""
    now = Now()
    a, b = deployment("a", now), deployment("b", now)
    for _ in range(2):
        a.breaker.failed(ProviderUnavailable("down"))
    now.at += 11
    a.breaker.started()
    a.breaker.abandoned()
    assert "a" in {ask([a, b]) for _ in range(4)}
