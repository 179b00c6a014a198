"""The namespaces of the clients, one module each; see `tollkit.run402.client.Groups`."""
