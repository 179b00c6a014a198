"""Translation, moderation, images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.run402.namespaces.checks import choice_or_none, preparing
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project, unscoped

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import AiUsage, GeneratedImage, Moderation, Translation

__all__ = ["Ai", "ScopedAi"]

D = TypeVar("D")


class Ai(Namespace[D]):
    """`client.ai`, also `client.image`."""

    _root: Run402Flows

    @flow
    def translate(
        self, project_id: str, *, text: str, to: str, from_: str | None = None, context: str | None = None
    ) -> Flow[Translation]:
        """Translate a text. Counts against the project's translation pack.

        Args:
            project_id: The project.
            text: The text.
            to: Language to translate to, such as `es`.
            from_: Language of the text; guessed when left out.
            context: What the text is about.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            PaymentRequired: The project is not paid for: its lease has ended.

        Source: Run402 gateway, `POST /ai/v1/translate`.
        """
        from tollkit_api.run402.v1_57.api.ai import ai_translate as operation
        from tollkit_api.run402.v1_57.models import TranslateRequest

        doing = "translating text"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            body = TranslateRequest(
                text=required_text("text", text),
                to=required_text("to", to),
                from_=choice_or_none("from_", from_),
                context=choice_or_none("context", context),
            )
            request = built(operation.request, body=body)
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def moderate(self, project_id: str, text: str) -> Flow[Moderation]:
        """Look whether a text is harmful.

        Args:
            project_id: The project.
            text: The text.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: `text` is empty (also an `ArgumentError`).

        Source: Run402 gateway, `POST /ai/v1/moderate`.
        """
        from tollkit_api.run402.v1_57.api.ai import ai_moderate as operation
        from tollkit_api.run402.v1_57.models import ModerateRequest

        doing = "moderating content"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            request = built(operation.request, body=ModerateRequest(text=required_text("text", text)))
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def usage(self, project_id: str) -> Flow[AiUsage]:
        """What was used of the project's translation pack.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /ai/v1/usage`.
        """
        from tollkit_api.run402.v1_57.api.ai import ai_usage as operation

        doing = "fetching AI usage"
        keys = yield from self._root.keys_of(project_id, doing)
        return (yield from self._root.call(operation.request(), operation.parse, doing, keys=keys))

    @flow
    def generate_image(self, *, prompt: str, aspect: str | None = None) -> Flow[GeneratedImage]:
        """Draw an image; `image` of the result is its bytes in base64. May cost money.

        Args:
            prompt: What to draw.
            aspect: `square`, `landscape` or `portrait`; `square` when left out.

        Raises:
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            PaymentRequired: The price was not paid.

        Source: Run402 gateway, `POST /generate-image/v1`.
        """
        from tollkit_api.run402.v1_57.api.ai import ai_generate_image as operation
        from tollkit_api.run402.v1_57.models import GenerateImageRequest

        doing = "generating image"
        with preparing(doing):
            body = GenerateImageRequest(
                prompt=required_text("prompt", prompt),
                aspect="square" if aspect is None else required_text("aspect", aspect),
            )
            request = built(operation.request, body=body)
        return (yield from self._root.call(request, operation.parse, doing))


class ScopedAi(ScopedNamespace[D]):
    """`project.ai`, without the project's id."""

    _plain = Ai

    translate: Final = of_project(Ai[Any].translate)
    moderate: Final = of_project(Ai[Any].moderate)
    usage: Final = of_project(Ai[Any].usage)
    generate_image: Final = unscoped(Ai[Any].generate_image)
