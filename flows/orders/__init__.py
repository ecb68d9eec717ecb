"""Orders and what becomes of them: checks, the ledger, money."""
