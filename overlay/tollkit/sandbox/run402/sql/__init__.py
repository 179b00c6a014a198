"""Postgres' SQL, written over for SQLite: what is common and cheap, statement by statement.

No SQL library does this part: the two dialects are close, and what matters here (messages, casts, defaults, policies)
none of them has. What differs from Postgres is told in `docs/run402/sandbox-sql.md`.
"""
