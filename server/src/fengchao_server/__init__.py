"""The fengchao gateway: an aiohttp server over the core."""
