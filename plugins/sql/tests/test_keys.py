"""Keys in SQLite: seen by every process, and hard to bring back by accident."""

from __future__ import annotations


async def test_other_process_sees_the_change(open_here, make_key):
    """A change made through one open store is seen through another, revision included."""
    mine, theirs = await open_here(), await open_here()
    before = await theirs.keys.revision()
    key = make_key("team")
    await mine.keys.add(key)
    assert (key,) == await theirs.keys.all()
    assert before < await theirs.keys.revision()


async def test_text_cannot_become_sql(store, make_key):
    """Quotes and statements in a name are only text."""
    key = make_key("'; DROP TABLE api_keys; --", note='"; DELETE FROM usage_rows')
    await store.keys.add(key)
    assert (key,) == await store.keys.all()
