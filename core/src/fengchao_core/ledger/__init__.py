"""
Where usage goes, from before a vendor is asked until its row is in the store.

    writer    takes reservations and rows from the pipeline, and brings rows to the store
    journal   the files that stand before the store, so that a death of the process loses nothing
    tail      the last events of it, in memory that outlives the process
    events    what stands in it
    recovery  what other processes left in theirs
    retention what is too old is deleted
    bodies    what was sent and shown, where that is kept; never in a journal
"""

from fengchao_core.ledger.writer import Ledger, StoreLedger

__all__ = ["Ledger", "StoreLedger"]
