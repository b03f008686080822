"""
Asynchronous tasks: submitted now, run by whichever process has room, asked for later.

    gateway.jobs.register(JobKind("report", write_report))
    id = await gateway.jobs.submit("report", {"topic": "…"}, caller=caller)
    result = await gateway.jobs.result(id, caller=caller)    # raises ResultNotReady while it runs

A task is in the store before `submit` returns, and so survives whatever happens to the process. It is run at least once;
its answer and its usage are kept together, once. Streams that can be read again are tasks as well, see `Jobs.open_stream`.
"""

from fengchao_core.jobs.kinds import JobKind
from fengchao_core.jobs.service import Emit, Jobs

__all__ = ["Emit", "JobKind", "Jobs"]
