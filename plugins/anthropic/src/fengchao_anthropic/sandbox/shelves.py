"""What the stand-in keeps: files, and batches with their results."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson
from aiohttp import web
from aiohttp.web_request import FileField

from fengchao_anthropic.sandbox.codes import RefusedError, illegal
from fengchao_anthropic.sandbox.visit import Visit
from fengchao_core.kit.sandbox import SandboxDesk

_MOST = 1000
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

AnswerTo = Callable[[Mapping[str, Any], str], dict[str, object]]


def listing(every: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> dict[str, object]:
    """A page of things that have ids, by `limit`, `after_id` and `before_id`. Raises `RefusedError`."""
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST:
        raise illegal("limit", f"Input should be between 1 and {_MOST}")
    ids = [thing["id"] for thing in every]
    start, end = 0, len(every)
    if (after := query.get("after_id")) in ids:
        start = ids.index(after) + 1
    if (before := query.get("before_id")) in ids:
        end = ids.index(before)
    page = list(every[start:end][: int(limit)])
    return {
        "data": page,
        "has_more": start + len(page) < end,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


class FileShelf:
    """The files that were uploaded, without their bytes."""

    def __init__(self, desk: SandboxDesk) -> None:
        self._desk = desk
        self._files: dict[str, dict[str, object]] = {}

    async def upload(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """Take a file."""
        file = (await request.post()).get("file") if _is_form(request) else None
        if not isinstance(file, FileField):
            raise illegal("file", "Field required")
        size = len(file.file.read())
        if not size:
            raise illegal("file", "File is empty")
        file_id = f"file_{self._desk.next_id():024d}"
        self._files[file_id] = {
            "type": "file",
            "id": file_id,
            "filename": file.filename,
            "mime_type": file.content_type,
            "size_bytes": size,
            "created_at": self._desk.clock.now().isoformat(),
            "downloadable": False,
        }
        return visit.json(self._files[file_id])

    async def list(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """A page of the files."""
        return visit.json(listing([*self._files.values()], request.query))

    async def get(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """What is known of a file."""
        return visit.json(self._file(request))

    async def delete(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """Forget a file."""
        file = self._file(request)
        del self._files[str(file["id"])]
        return visit.json({"id": file["id"], "type": "file_deleted"})

    def _file(self, request: web.Request) -> dict[str, object]:
        file = self._files.get(request.match_info["id"])
        if file is None:
            raise RefusedError("not_found_error", "File not found")
        return file


class BatchShelf:
    """The batches. One is worked off when it is first looked at, so that its beginning can be seen, too."""

    def __init__(self, desk: SandboxDesk, answer_to: AnswerTo) -> None:
        self._desk = desk
        self._answer_to = answer_to
        self._batches: dict[str, _Batch] = {}

    async def create(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """Take a batch."""
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            body = None
        requests = body.get("requests") if isinstance(body, dict) else None
        if not isinstance(requests, list) or not requests:
            raise illegal("requests", "List should have at least 1 item")
        for at, each in enumerate(requests):
            name = each.get("custom_id") if isinstance(each, dict) else None
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise illegal(
                    f"requests.{at}.custom_id",
                    "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
                )
            if not isinstance(each.get("params"), dict):
                raise illegal(f"requests.{at}.params", "Field required")
        if len({each["custom_id"] for each in requests}) < len(requests):
            raise illegal("requests", "custom_id must be unique within a batch")
        batch = _Batch(f"msgbatch_{self._desk.next_id():024d}", visit.version, requests, self._desk)
        self._batches[batch.id] = batch
        return visit.json(batch.body())

    async def list(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """A page of the batches, as they stand."""
        return visit.json(listing([b.body() for b in self._batches.values()], request.query))

    async def get(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """How far a batch is; its requests are answered by now."""
        batch = self._batch(request)
        batch.work_off(self._answer_to)
        return visit.json(batch.body(str(request.url.with_query(None))))

    async def cancel(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """Give up what is not answered yet."""
        batch = self._batch(request)
        if batch.results is not None:
            raise RefusedError("invalid_request_error", "The batch has already ended.")
        batch.is_canceled = True
        return visit.json(batch.body())

    async def delete(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """Forget a batch that has ended."""
        batch = self._batch(request)
        if batch.results is None:
            raise RefusedError("invalid_request_error", "The batch has not ended yet.")
        del self._batches[batch.id]
        return visit.json({"id": batch.id, "type": "message_batch_deleted"})

    async def results(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """The results, one a line."""
        batch = self._batch(request)
        if batch.results is None:
            raise RefusedError("not_found_error", "The batch has no results yet.")
        lines = b"".join(orjson.dumps(row) + b"\n" for row in batch.results)
        return web.Response(
            body=lines,
            content_type="application/x-jsonl",
            headers=visit.headers,
        )

    def _batch(self, request: web.Request) -> _Batch:
        batch = self._batches.get(request.match_info["id"])
        if batch is None:
            raise RefusedError("not_found_error", "Batch not found")
        return batch


class _Batch:
    def __init__(
        self, batch_id: str, version: str, requests: Sequence[Mapping[str, Any]], desk: SandboxDesk
    ) -> None:
        self.id = batch_id
        self.is_canceled = False
        self.results: list[dict[str, Any]] | None = None
        self._version = version
        self._requests = requests
        self._created_at = desk.clock.now()

    def work_off(self, answer_to: AnswerTo) -> None:
        if self.results is None:
            self.results = [
                {"custom_id": each["custom_id"], "result": self._result(each["params"], answer_to)}
                for each in self._requests
            ]

    def body(self, url: str = "") -> dict[str, object]:
        kinds = [row["result"]["type"] for row in self.results or ()]
        counts = {k: kinds.count(k) for k in ("succeeded", "errored", "canceled", "expired")}
        created = self._created_at.isoformat()
        ended = self.results is not None
        running = "canceling" if self.is_canceled else "in_progress"
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else running,
            "request_counts": {"processing": 0 if ended else len(self._requests), **counts},
            "created_at": created,
            "expires_at": (self._created_at + timedelta(hours=24)).isoformat(),
            "ended_at": created if ended else None,
            "cancel_initiated_at": created if self.is_canceled else None,
            "archived_at": None,
            "results_url": f"{url}/results" if ended and url else None,
        }

    def _result(self, params: Mapping[str, Any], answer_to: AnswerTo) -> dict[str, object]:
        if self.is_canceled:
            return {"type": "canceled"}
        try:
            return {"type": "succeeded", "message": answer_to(params, self._version)}
        except RefusedError as refused:
            return {"type": "errored", "error": refused.body("req_batch")}


def _is_form(request: web.Request) -> bool:
    return request.content_type == "multipart/form-data"
