"""
One frozen tree of settings, from a TOML file and the environment.

Where a value comes from, the first that has it: `FENGCHAO__SECTION__KEY`, the file, a vendor's usual variable
(`ZHIPUAI_API_KEY`, …), the default. `${NAME}` inside a value of the file takes an environment variable. Unknown keys are
errors, and all problems are reported at once. Nothing else in the core reads the environment.

The sections of providers and knowledge bases are kept raw here: only their plugins know the fields, and check them while
the gateway opens.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fengchao_core.errors import InvalidParameter, SettingsError
from fengchao_core.limits import KeyLimits
from fengchao_core.money import zone_of
from fengchao_core.problems import explain
from fengchao_core.provider import Limits
from fengchao_core.sources import find, read_tree
from fengchao_core.types import Currency


class Section(BaseModel):
    """A part of the tree: frozen, with unknown keys refused and no value shown in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ServerSettings(Section):
    """
    `[server]`: where and how the server listens.

    Attributes:
        workers: processes that share the port.
        max_body_bytes: the largest request body; more is answered 413.
        drain_s: how long a stopping server waits for requests under way.
        keep_alive_s: how long an idle connection of a client stays open.
        trusted_proxies: networks of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=256)
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    drain_s: float = Field(default=30.0, ge=0)
    keep_alive_s: float = Field(default=75.0, gt=0)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()


class StoreSettings(Section):
    """`[store]`: where keys and usage are kept. `memory:` forgets them when the process ends."""

    url: str = "sqlite:///fengchao.db"


class LimitSettings(Section):
    """`[limits]`: the four time limits of a call, in seconds."""

    connect_s: float = Field(default=10.0, gt=0)
    first_delta_s: float = Field(default=120.0, gt=0)
    idle_s: float = Field(default=60.0, gt=0)
    total_s: float = Field(default=600.0, gt=0)

    def limits(self) -> Limits:
        """The limits as the pipeline takes them."""
        return Limits(self.connect_s, self.first_delta_s, self.idle_s, self.total_s)


class RetrySettings(Section):
    """
    `[retry]`: how often a vendor is asked, and how long to wait in between.

    Attributes:
        attempts: at most, the first included.
        base_wait_s: the first wait, doubled each time, with jitter.
        max_wait_s: the longest wait; a vendor that asks for more is not waited for.
    """

    attempts: int = Field(default=3, ge=1, le=20)
    base_wait_s: float = Field(default=0.5, ge=0)
    max_wait_s: float = Field(default=8.0, ge=0)


class RoutingSettings(Section):
    """
    `[routing]`: when a deployment that keeps failing is left alone.

    Attributes:
        failures: consecutive failures that open the circuit.
        cooldown_s: how long it stays open before one request probes it; doubled each time the probe fails.
        max_cooldown_s: the longest it stays open.
    """

    failures: int = Field(default=3, ge=1)
    cooldown_s: float = Field(default=5.0, gt=0)
    max_cooldown_s: float = Field(default=120.0, gt=0)


class SensitiveSettings(Section):
    """
    `[sensitive]`: the word filter.

    Attributes:
        enabled: False switches it off for every request.
        wordlists: files of words (txt, csv, json), relative to the settings file.
        allow: words that are never a hit, even around a listed word.
        pinyin: also find words written in pinyin; needs the `pypinyin` package.
        log_text: write the characters of every hit to the log, for those who tune their words.
    """

    enabled: bool = True
    wordlists: tuple[Path, ...] = ()
    allow: tuple[str, ...] = ()
    pinyin: bool = False
    log_text: bool = False


class SearchSettings(Section):
    """
    `[search]`: the web search that `search_param` asks for.

    Attributes:
        provider: the section of `[providers]` that searches; without it a search is refused.
        engine: the vendor's name of a search engine; the provider's own choice where not given.
        timeout_s: the longest a search may take; then the model answers without it.
        page_chars: how much of each page the model is given, in characters.
        price: what one search costs, for the ledger; not booked where not given.
    """

    provider: str | None = None
    engine: str | None = None
    timeout_s: float = Field(default=15.0, gt=0)
    page_chars: int = Field(default=1500, ge=100)
    price: Decimal | None = Field(default=None, ge=0)
    currency: Currency = "CNY"


class AggregateSettings(Section):
    """
    `[aggregate]`: one question to several models.

    Attributes:
        max_models: how many a call may name, beside the one that merges.
        wait_s: how long an answer is waited for; the others are merged without it.
    """

    max_models: int = Field(default=5, ge=1, le=50)
    wait_s: float = Field(default=120.0, gt=0)


class LedgerSettings(Section):
    """
    `[ledger]`: how usage rows reach the store.

    Attributes:
        capacity: rows that may wait in memory while the store is away; beyond it they wait in the journal alone, and
            where there is none the oldest are given up, loudly.
        batch: rows per transaction at most.
        interval_s: how long a row may wait for others to share its transaction, and so how far reports may lie behind.
        journal: write each request into a journal in the data folder before its row is in the store, so that a death of
            the process loses nothing.
        journal_bytes: the most that rows which the store does not have yet may take of the disk, per process.
        segment_bytes: the length of a journal's file from which the next is begun; at most a quarter of `journal_bytes`.
        kept_bytes: how much of the journals is kept once their rows are in the store, for `fengchao usage verify`.
        sync_s: how often the disk is told to keep the journal.
        takeover_s: how often this process looks for journals of processes that died.
        keep_days: how long rows and sums by the hour are kept; 0: for ever. Sums by the day always are.
        keep_bodies: keep what was sent to vendors and what callers were shown, in a table of its own. Personal data: tell
            those whose words they are.
        keep_bodies_days: how long bodies are kept, also those from before `keep_bodies` was switched off.
        keep_bodies_chars: of a conversation, and of its answers; what is longer is cut.
    """

    capacity: int = Field(default=100_000, ge=1)
    batch: int = Field(default=2000, ge=1)
    interval_s: float = Field(default=1.0, ge=0)
    journal: bool = True
    journal_bytes: int = Field(default=1024 * 1024 * 1024, ge=65536)
    segment_bytes: int = Field(default=16 * 1024 * 1024, ge=4096)
    kept_bytes: int = Field(default=256 * 1024 * 1024, ge=0)
    sync_s: float = Field(default=1.0, gt=0)
    takeover_s: float = Field(default=5.0, gt=0)
    keep_days: int = Field(default=400, ge=0)
    keep_bodies: bool = False
    keep_bodies_days: int = Field(default=7, ge=1, le=3660)
    keep_bodies_chars: int = Field(default=100_000, ge=100, le=4_000_000)


class FetchSettings(Section):
    """
    `[fetch]`: pictures and films that callers name by their address.

    Attributes:
        enabled: False refuses addresses; data itself is still taken.
        allow_hosts: hosts (`cdn.house`, or `cdn.house:9000`) that may be fetched from although they are not public, on any
            port where none is named. All others must be public, on port 80 or 443.
        timeout_s: for the whole of it, redirects included.
        max_bytes: of what is fetched, and of a picture or film that comes as data.
    """

    enabled: bool = True
    allow_hosts: tuple[str, ...] = ()
    timeout_s: float = Field(default=20.0, gt=0)
    max_bytes: int = Field(default=20 * 1024 * 1024, ge=1024)


class JobSettings(Section):
    """
    `[jobs]`: asynchronous tasks, and streams that can be read again.

    Attributes:
        concurrency: tasks that one process runs at the same time; 0: it runs none, and leaves them to others.
        capacity: unfinished tasks in all; beyond it new ones are refused.
        per_key: unfinished tasks of one key, likewise.
        payload_bytes: what all unfinished tasks ask together, likewise.
        expire_s: a task that has not ended so long after it was submitted is given up.
        keep_s: how long an ended task, with its answer, can be asked for.
        lease_s: a process that has not been heard of for so long counts as dead, and others run its tasks again.
        attempts: how often a task is begun whose process dies; 1: never again.
        poll_s: how often a process looks for tasks that others submitted or left behind.
        stream_bytes: events of one stream that are kept to be read again; a stream that grows beyond fails.
    """

    concurrency: int = Field(default=16, ge=0, le=10_000)
    capacity: int = Field(default=10_000, ge=1)
    per_key: int = Field(default=1_000, ge=1)
    payload_bytes: int = Field(default=512 * 1024 * 1024, ge=1024)
    expire_s: float = Field(default=86_400.0, gt=0)
    keep_s: float = Field(default=86_400.0, gt=0)
    lease_s: float = Field(default=30.0, ge=0.1)
    attempts: int = Field(default=3, ge=1, le=100)
    poll_s: float = Field(default=1.0, ge=0.01)
    stream_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)


class FileSettings(Section):
    """
    `[files]`: files that callers upload.

    Attributes:
        enabled: False refuses all.
        folder: where they lie; relative to `home`.
        max_file_bytes: of one file.
        max_files: in one upload, and of one question.
        ttl_s: how long a file is kept.
        per_key_files: how many a key may have at a time.
        per_key_bytes: and of how many bytes together.
        anonymous: whether files may be uploaded without a key, as the published SDKs before 3.0 do. Such a file belongs to
            the key that uses it first.
        anonymous_ttl_s: how long it is kept until then.
        anonymous_files: how many such files there may be at a time.
        anonymous_bytes: and of how many bytes together.
        max_text_chars: how much text of a file is kept.
        readers: documents that are read at a time.
        reader_timeout_s: for one of them.
        reader_memory_bytes: likewise.
        sweep_s: how often expired files are looked for.
    """

    enabled: bool = True
    folder: Path = Path("files")
    max_file_bytes: int = Field(default=50 * 1024 * 1024, ge=1)
    max_files: int = Field(default=20, ge=1)
    ttl_s: float = Field(default=86_400.0, gt=0)
    per_key_files: int = Field(default=1000, ge=1)
    per_key_bytes: int = Field(default=1024 * 1024 * 1024, ge=1)
    anonymous: bool = True
    anonymous_ttl_s: float = Field(default=600.0, gt=0)
    anonymous_files: int = Field(default=200, ge=1)
    anonymous_bytes: int = Field(default=512 * 1024 * 1024, ge=1)
    max_text_chars: int = Field(default=1_000_000, ge=1000)
    readers: int = Field(default=2, ge=1)
    reader_timeout_s: float = Field(default=30.0, gt=0)
    reader_memory_bytes: int = Field(default=1024 * 1024 * 1024, ge=64 * 1024 * 1024)
    sweep_s: float = Field(default=60.0, gt=0)


class IdempotencySettings(Section):
    """
    `[idempotency]`: answers that are given again, to requests that come twice under one `Idempotency-Key`.

    Attributes:
        keep_s: how long an answer is kept, in a file of the data folder; 0 switches it off.
        max_answer_bytes: a longer answer is not kept.
        max_bytes: all kept answers together; beyond it the oldest go.
        request_id: whether, on `/aigc`, the same `request_id` with the same body counts as the same key.
    """

    keep_s: float = Field(default=86_400.0, ge=0)
    max_answer_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    request_id: bool = False


class LogSettings(Section):
    """`[log]`: what the process logs. `auto` is coloured text on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class AdminSettings(Section):
    """
    `[admin]`: how long operators stay signed in.

    Attributes:
        session_s: from signing in, whatever is done meanwhile.
        setup_link_s: how long a link that sets a password works.
    """

    session_s: float = Field(default=43200.0, ge=60, le=30 * 86400)
    setup_link_s: float = Field(default=3600.0, ge=60, le=7 * 86400)


class PluginSettings(Section):
    """
    `[plugins]`: which plugins may fail, and which are left out.

    Attributes:
        optional: entry points that are quarantined instead of stopping start-up; `*` means all.
        disabled: entry points that are never loaded.
    """

    optional: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()


class ModelSettings(Section):
    """
    `[models."<id>"]`: overrides a model's card.

    Attributes:
        fallbacks: models to ask when this one fails before its first delta.
        prices: replace the card's prices; the same fields as in a plugin's `models.toml`.
        on_disconnect: what becomes of the vendor's answer when its caller hangs up: `cut` ends it, `drain` reads it to its
            end, so that what it used is booked to the token.
        is_local: whether it counts as a model in our own house (the channel 本地模型): true for one that an endpoint
            of our own serves.
    """

    fallbacks: tuple[str, ...] = ()
    aliases: tuple[str, ...] | None = None
    owned_by: str | None = None
    max_input_tokens: int | None = Field(default=None, ge=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    capabilities: tuple[str, ...] | None = None
    prices: tuple[dict[str, Any], ...] | None = None
    on_disconnect: Literal["cut", "drain"] = "cut"
    is_local: bool | None = None


class RateRow(Section):
    """`[[money.rates]]`: what one unit of `base` is worth in `quote`, from a day on."""

    base: Currency
    quote: Currency
    rate: Decimal = Field(gt=0)
    since: date
    source: str = ""

    @field_validator("rate", mode="before")
    @classmethod
    def _exact(cls, rate: Any) -> Any:
        if isinstance(rate, float):
            raise ValueError(f'a rate must be quoted, so that it stays exact: "{rate}"')  # noqa: TRY004  # for pydantic
        return rate


class MoneySettings(Section):
    """
    `[money]`: how budgets and reports count money.

    Attributes:
        time_zone: whose midnight begins the day and the month of a budget: `UTC`, or a name like `Asia/Shanghai`.
        unpriced: whether a key with a budget may use a model that has no price: `refuse`, or `free` of charge.
        rates: of exchange, dated; without one nothing is converted.
    """

    time_zone: str = "UTC"
    unpriced: Literal["refuse", "free"] = "refuse"
    rates: tuple[RateRow, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _exists(cls, name: str) -> str:
        zone_of(name)
        return name


class GroupSettings(Section):
    """`[groups.<name>]`: what the keys of a group may use together; the same fields as the limits of a key."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    budgets: tuple[dict[str, Any], ...] = ()
    models: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _are_limits(self) -> GroupSettings:
        try:
            self.limits()
        except InvalidParameter as error:
            raise ValueError(str(error)) from error
        return self

    def limits(self) -> KeyLimits:
        """The limits as the limiter takes them."""
        return KeyLimits.from_json(self.model_dump(exclude_none=True))


class Settings(Section):
    """The whole tree. Build it in code, or with `Settings.load()`."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    limits: LimitSettings = LimitSettings()
    retry: RetrySettings = RetrySettings()
    routing: RoutingSettings = RoutingSettings()
    sensitive: SensitiveSettings = SensitiveSettings()
    search: SearchSettings = SearchSettings()
    aggregate: AggregateSettings = AggregateSettings()
    ledger: LedgerSettings = LedgerSettings()
    fetch: FetchSettings = FetchSettings()
    jobs: JobSettings = JobSettings()
    files: FileSettings = FileSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
    log: LogSettings = LogSettings()
    admin: AdminSettings = AdminSettings()
    plugins: PluginSettings = PluginSettings()
    money: MoneySettings = MoneySettings()
    groups: dict[str, GroupSettings] = Field(default_factory=dict)
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    providers: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False)
    knowledge: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False)
    home: Path = Field(default_factory=lambda: user_data_path("fengchao", appauthor=False))

    @classmethod
    def load(
        cls, config: Path | str | None = None, *, env: Mapping[str, str] | None = None
    ) -> Settings:
        """
        Read the settings.

        Args:
            config: the TOML file; by default `FENGCHAO_CONFIG`, else `fengchao.toml` in the working directory if there.
            env: the environment; the process's own by default.

        Raises:
            SettingsError: with every problem found.
        """
        env = os.environ if env is None else env
        path = find(config, env)
        tree = read_tree(path, env)
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            where = str(path) if path else "settings"
            raise SettingsError(*explain(error, cls, where=where)) from error
