"""PymtHouse as its server of May 2026 was seen to answer."""
