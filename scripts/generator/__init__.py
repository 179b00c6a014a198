"""`make generate`: writes generated/tollkit_api from specs/, the templates and the runtime beside this file."""
