"""A process that pays until the day is used up: `journal_worker.py JOURNAL LIMIT SENT`.

Each payment that leaves is one line of the file SENT, written where a socket would be.
"""

from __future__ import annotations

import os
import sys

from support.x402_till import SIGNER, challenge, settled
from tollkit.core.flows import Wire
from tollkit.run402.errors import PaymentNotMadeError
from tollkit.run402.payments import SpendingPolicy, SqliteJournal, X402Payer


def main(path: str, limit: str, sent: str) -> None:
    journal = SqliteJournal(path)
    payer = X402Payer(SIGNER, journal=journal, policy=SpendingPolicy(per_day=int(limit), unasked_per_day=None))
    handle = os.open(sent, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while True:
        flow = payer.answer(Wire("POST", "https://x.test/", {}, None), challenge())
        try:
            effect = next(flow)
            while True:
                if isinstance(effect, Wire):
                    os.write(handle, b".")
                    effect = flow.send(settled())
                else:
                    effect = flow.send(effect.call())  # type: ignore[union-attr]
        except StopIteration:
            pass
        except PaymentNotMadeError:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
