"""Asynchronous tasks: kept in memory, done when they are asked for the second time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fengchao_core.kit.sandbox import SandboxDesk
from fengchao_zhipu.sandbox.codes import RefusedError

TASK_FAIL = "task_fail"
"""The fault by which a prompt makes its task fail."""

_MOST_TASKS = 1000


@dataclass(slots=True)
class _Task:
    head: dict[str, object]
    answer: Mapping[str, object] | None
    was_asked_for: bool = False


class Tasks:
    """The tasks of one stand-in; the oldest are forgotten."""

    def __init__(self, desk: SandboxDesk) -> None:
        self._desk = desk
        self._tasks: dict[str, _Task] = {}

    def add(self, answer: Mapping[str, object], *, is_failing: bool) -> Mapping[str, object]:
        """
        Keep a task; returns what the vendor says of it.

        Args:
            answer: the chat's whole answer.
            is_failing: the task is going to fail instead.
        """
        id_ = f"task-{self._desk.next_id():020d}"
        head: dict[str, object] = {
            "id": id_,
            "request_id": answer["request_id"],
            "model": answer["model"],
        }
        self._tasks[id_] = _Task(head, None if is_failing else answer)
        if len(self._tasks) > _MOST_TASKS:
            del self._tasks[next(iter(self._tasks))]
        return {**head, "task_status": "PROCESSING"}

    def ask(self, task_id: str) -> Mapping[str, object]:
        """What has become of a task. Raises `RefusedError` where there is none."""
        task = self._tasks.get(task_id)
        if task is None:
            raise RefusedError("1214", "任务不存在，请检查任务 id")
        if not task.was_asked_for:
            task.was_asked_for = True
            return {**task.head, "task_status": "PROCESSING"}
        if task.answer is None:
            return {**task.head, "task_status": "FAIL"}
        return {**task.answer, "id": task_id, "task_status": "SUCCESS"}
