"""Models that are there for the documentation: what an API answers, and what it takes where it is read by hand."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Described(BaseModel):
    """
    The shape of a body, for the documentation alone.

    Its validator is built when it is first asked for: those of all shapes are 15 ms and half a megabyte of each start, and
    most servers are never asked for their documentation.
    """

    model_config = ConfigDict(defer_build=True)
