"""
Fetching what a caller's address names, without being led into the house: see `fetcher`.

Importing this package brings no HTTP library along; opening a `Fetcher` does.
"""

from fengchao_core.fetch.addresses import is_public
from fengchao_core.fetch.fetcher import Fetched, Fetcher

__all__ = ["Fetched", "Fetcher", "is_public"]
