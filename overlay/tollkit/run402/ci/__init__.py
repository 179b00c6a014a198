"""Deploys from GitHub Actions: a wallet allows a workflow to deploy, which signs in with its OIDC token."""
