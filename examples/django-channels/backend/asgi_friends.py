"""The other frontend's server: it has a `/ws/notifications/` of its own, with frames of its own."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
http = get_asgi_application()

from friends.routing import websocket_urlpatterns  # noqa: E402
from social.auth import TokenAuth  # noqa: E402

application = ProtocolTypeRouter(
    {"http": http, "websocket": TokenAuth(URLRouter(websocket_urlpatterns))}
)
