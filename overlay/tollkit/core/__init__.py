"""What every platform's client stands on: flows, drivers, transport policy. No platform names in here."""
