"""Sign-in with Tokenite for web applications: routes for Starlette and FastAPI, views for Django.

    from tollkit.tokenite.web.starlette import TokeniteRouter      # pip install 'tollkit[starlette]'
    from tollkit.tokenite.web.django import tokenite_urls          # pip install 'tollkit[django]'

Both serve the same routes (`login`, `start`, `callback`, `top-up`, `logout`, `tokenite.js`), call the same hooks
with the same events, and serve the browser module that opens the consent screen in a window or an overlay.
"""

from __future__ import annotations

from tollkit.tokenite.web.core import SignedIn, SignInFailure, SignInOptions, ToppedUp, safe_next

__all__ = ["SignInFailure", "SignInOptions", "SignedIn", "ToppedUp", "safe_next"]
