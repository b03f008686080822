"""Reports: on the command line, under /admin, and for a key about itself."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO

import pytest
from server.tests.test_cli import fengchao  # noqa: F401  # a fixture

from fengchao import FengChao, FengChaoAsync
from fengchao_core import ModelCard, Price, Settings
from fengchao_core.limits import Budget, KeyLimits
from fengchao_core.store import BodyRecord
from fengchao_core.usage import UsageRecord
from fengchao_server.cli.opened import open_store

CONFIG = """
[models."glm-4"]
[[models."glm-4".prices]]
input = "0.05"
output = "0.05"
currency = "CNY"
since = 2024-01-01
source = "a contract"

[[money.rates]]
base = "USD"
quote = "CNY"
rate = "7.1"
since = 2026-01-01
source = "a bank"
"""


def row(id_: str, **fields: object) -> UsageRecord:
    """A row of a thousand tokens that cost 0.1 CNY."""
    given = {
        "id": id_, "request_id": id_, "key": "k1", "model": "glm-4", "provider": "zhipu", "outcome": "ok",
        "error": "", "streamed": False, "attempts": 1, "started_at": datetime(2026, 11, 20, 8, tzinfo=UTC),
        "duration_ms": 5, "first_delta_ms": None, "prompt_tokens": 600, "completion_tokens": 400,
        "cached_tokens": 0, "reasoning_tokens": 0, "usage_source": "vendor", "cost": Decimal("0.1"),
        "currency": "CNY", "price_since": "2024-01-16",
    }  # fmt: skip
    return UsageRecord(**{**given, **fields})


@pytest.fixture
async def booked(tmp_path, fengchao):  # noqa: F811  # the fixture
    """A function that runs a command beside a store with three rows."""
    (tmp_path / "fengchao.toml").write_text(CONFIG)
    settings = Settings.model_validate({"home": tmp_path / "home"})
    async with open_store(settings) as store:
        await store.usage.add(
            [
                row("1"),
                row("2", model="gpt", provider="openai", currency="USD", group="team"),
                row("3", outcome="failed", started_at=datetime(2026, 11, 19, 23, tzinfo=UTC)),
            ]
        )
    return lambda *args, **more: fengchao(*args, env={"ZHIPUAI_API_KEY": "id.secret"}, **more)


async def test_usage_by_anything(booked):
    """Usage is grouped by several things at once, filtered, and printed as a table, JSON or CSV."""
    found = json.loads(booked("usage", "--by", "day,model", "--json").stdout)
    assert [("2026-11-19", "glm-4"), ("2026-11-20", "glm-4"), ("2026-11-20", "gpt")] == [
        (one["day"], one["model"]) for one in found
    ]
    lines = list(
        csv.DictReader(
            StringIO(booked("usage", "--by", "hour", "--model", "glm-4", "--csv").stdout)
        )
    )
    assert [("2026-11-19T23", "0.1"), ("2026-11-20T08", "0.1")] == [
        (line["hour"], line["cost"]) for line in lines
    ]
    assert "0.1 CNY" in booked("usage", "--key", "k1", "--outcome", "failed").stdout
    assert "--by must be" in booked("usage", "--by", "week", code=1).stderr


async def test_usage_in_one_currency(booked):
    """A report in one currency has one figure per group, and names the rate, its date and its source."""
    done = booked("usage", "--by", "group", "--currency", "CNY", "--json")
    assert {"": "0.2", "team": "0.71"} == {
        one["group"]: one["cost"] for one in json.loads(done.stdout)
    }
    assert "1 USD = 7.1 CNY" in done.stderr
    assert "2026-01-01" in done.stderr
    assert "a bank" in done.stderr


async def test_repricing_shows_before_it_writes(booked):
    """A period is counted anew by the prices of now: shown first, written only when asked, and then nothing is left."""
    said = json.loads(booked("usage", "reprice", "--since", "2026-11-01", "--json").stdout)
    (one,) = said["models"]
    assert (False, 2, "0.2", "0.10", "-0.10") == (
        said["written"],
        one["rows"],
        one["before"],
        f"{Decimal(one['after']):.2f}",
        f"{Decimal(one['difference']):.2f}",
    )
    shown = booked("usage", "reprice", "--since", "2026-11-01")
    assert "--write" in shown.stderr
    booked("usage", "reprice", "--since", "2026-11-20", "--write")
    found = json.loads(booked("usage", "--by", "day", "--model", "glm-4", "--json").stdout)
    assert ["0.1", "0.05"] == [one["cost"] for one in found]
    assert "--since" in booked("usage", "reprice", code=1).stderr


async def test_an_invoice_is_compared(booked, tmp_path):
    """An invoice is put beside the rows per model and day; what is off by more than the tolerance is status 1."""
    invoice = tmp_path / "bill.csv"
    invoice.write_text(
        "账单日期,模型,总tokens,金额\n2026-11-20,glm-4,1000,¥0.10\n2026/11/19,GLM-4,900,0.08\n",
        encoding="utf-8",
    )
    args = ("usage", "reconcile", str(invoice), "--provider", "zhipu")
    lines = json.loads(booked(*args, "--json", code=1).stdout)
    assert [("2026-11-19", 25.0, True), ("2026-11-20", 0.0, False)] == [
        (line["day"], line["drift_percent"], line["is_off"]) for line in lines
    ]
    assert "1 of 2" in booked(*args, code=1).stderr
    booked(*args, "--tolerance", "30")
    invoice.write_text("when,model,cost\n2026-11-20,glm-4,ten\n")
    assert "--columns" in booked("usage", "reconcile", str(invoice), code=1).stderr
    said = booked("usage", "reconcile", str(invoice), "--columns", "day=when", code=1).stderr
    assert "line 2" in said


async def test_admin_usage(bench):
    """An operator reads the report as JSON or CSV; a caller's key does not open it, and slips are told."""
    await bench.chat()
    await bench.gateway.flush()
    headers = await bench.operator()
    async with bench.client.get("/admin/usage?by=model,outcome", headers=headers) as response:
        said = await response.json()
    (one,) = said["sums"]
    assert ("online-1", "ok", 1, None) == (
        one["model"],
        one["outcome"],
        one["requests"],
        one["cost"],
    )
    async with bench.client.get(
        "/admin/usage?format=csv&currency=CNY", headers=headers
    ) as response:
        text = await response.text()
        assert "attachment" in response.headers["Content-Disposition"]
    assert text.startswith("model,requests,")
    async with bench.client.get("/admin/usage", headers=bench.bearer) as response:
        assert 401 == response.status
    for slip in (
        "by=week",
        "since=gestern",
        "format=xls",
        "currency=EUR",
        "until=2026-11-21T10:00:00",
    ):
        async with bench.client.get(f"/admin/usage?{slip}", headers=headers) as response:
            assert 400 == response.status, slip


async def test_a_body_is_read_by_operators_and_that_is_written_down(open_bench):
    """An operator reads what was said in a request; the audit log says so; nobody else gets to see it."""
    bench = await open_bench(ledger={"keep_bodies": True, "interval_s": 0})
    await bench.ask(query="蜜蜂呢", request_id="r/1")
    await bench.gateway.flush()
    (booked_row,) = await bench.gateway.store.usage.rows()
    headers = await bench.operator()
    for id_ in (booked_row.id, "r%2F1"):
        async with bench.client.get(f"/admin/usage/{id_}/body", headers=headers) as response:
            assert (200, "no-store") == (response.status, response.headers["Cache-Control"])
            (body,) = (await response.json())["bodies"]
        assert (booked_row.id, "r/1", False) == (body["id"], body["request_id"], body["is_cut"])
        assert "蜜蜂呢" in body["messages"][-1]["content"]
        assert [{"index": 0, "content": "你好，世界"}] == body["answers"]
    read = await bench.gateway.store.audit.page(action="usage.body.read")
    assert [
        ("operator" in entry.actor or "token" in entry.actor, entry.target) for entry in read
    ] == [(True, booked_row.id)] * 2
    viewer = await bench.operator("viewer", "looks")
    for who, id_, status in (
        (headers, "none", 404),
        (viewer, booked_row.id, 403),
        (bench.bearer, booked_row.id, 401),
    ):
        async with bench.client.get(f"/admin/usage/{id_}/body", headers=who) as response:
            assert status == response.status
            assert "蜜蜂" not in await response.text()
    assert read == await bench.gateway.store.audit.page(action="usage.body.read")


async def test_usage_show(tmp_path, booked):
    """A request is shown by its id with what was said, safely for a terminal; one without says so, and an unknown one too."""
    settings = Settings.model_validate({"home": tmp_path / "home"})
    said = BodyRecord(
        id="1", request_id="r-1", at=datetime(2026, 11, 20, 8, tzinfo=UTC), is_cut=False,
        messages=[{"role": "user", "content": "你好\x1b[2J\x9b"}], answers=[],
    )  # fmt: skip
    async with open_store(settings) as store:
        await store.bodies.add([said])
    for id_ in ("1", "r-1"):
        found = json.loads(booked("usage", "show", id_, "--json").stdout)
        assert (["1"], ["1"]) == tuple([one["id"] for one in found[k]] for k in ("rows", "bodies"))
    shown = booked("usage", "show", "1").stdout
    assert "你好" in shown
    assert not {"\x1b", "\x9b"} & set(shown)
    assert "keep_bodies" in booked("usage", "show", "2").stderr
    assert "no request" in booked("usage", "show", "none", code=1).stderr
    log = json.loads(booked("audit", "--action", "usage.body.read", "--json").stdout)
    assert ["1"] * 3 == [entry["target"] for entry in log]
    assert log[0]["actor"].startswith("cli:")


PRICE = Price(
    input=Decimal("0.1"),
    output=Decimal("0.1"),
    currency="CNY",
    since=date(2024, 1, 1),
    source="test",
)


async def test_a_key_sees_its_own_account(open_bench):
    """The SDK shows a key what it used and what is left, of itself alone."""
    bench = await open_bench(cards=[ModelCard(id="online-1", owned_by="T", prices=(PRICE,))])
    limits = KeyLimits(requests_per_minute=10, budgets=(Budget(Decimal(2), "CNY"),))
    key = await bench.served.keyring.create("limited", limits=limits)
    await bench.chat()
    async with FengChaoAsync(key.api_key, key.secret_key, base_url=bench.url) as client:
        before = (await client.usage()).data
        assert ([], "2") == (before.totals, before.budgets[0].remaining)
        await client.chat("online-1", "你好")
        await bench.gateway.flush()
        report = (await client.usage()).data
        (total,) = report.totals
        assert ("online-1", 1, "CNY") == (total.model, total.requests, total.currency)
        budget = report.budgets[0]
        assert ("key", "month", total.cost, "0") == (
            budget.scope,
            budget.period,
            budget.spent,
            budget.held,
        )
        assert Decimal(2) - Decimal(total.cost) == Decimal(budget.remaining)
        assert (10, 9) == (report.requests.limit, report.requests.remaining)
        assert report.tokens is None
        assert [] == (await client.usage("day", until="2020-01-01", since="2019-01-01")).data.totals
    async with bench.client.get("/aigc/usage/") as response:
        assert 401 == response.status


async def test_an_embedded_client_sees_its_account(open_bench):
    """Embedded, the SDK shows what the process used, without limits."""
    bench = await open_bench()
    async with FengChaoAsync(gateway=bench.gateway) as client:
        await client.chat("online-1", "你好")
        await bench.gateway.flush()
        report = (await client.usage("model")).data
    assert (1, []) == (report.totals[0].requests, report.budgets)
    assert hasattr(FengChao, "usage")


async def test_check_finds_budgets_that_nothing_can_charge(fengchao, tmp_path):  # noqa: F811  # the fixture
    """A group's budget in a currency that has no rate to the models' prices is a problem that check names."""
    (tmp_path / "fengchao.toml").write_text(
        '[[groups.team.budgets]]\namount = "5"\ncurrency = "USD"\n'
    )
    said = fengchao("check", env={"ZHIPUAI_API_KEY": "id.secret"}, code=1).stdout
    assert "[groups.team] has a budget in USD" in said
    assert "[[money.rates]]" in said
    (tmp_path / "fengchao.toml").write_text(
        CONFIG + '[[groups.team.budgets]]\namount = "5"\ncurrency = "USD"\n'
    )
    fengchao("check", env={"ZHIPUAI_API_KEY": "id.secret"})
