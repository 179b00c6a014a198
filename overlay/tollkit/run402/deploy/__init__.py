"""Deploys of Run402: release specs, content, the engine that ships them."""
