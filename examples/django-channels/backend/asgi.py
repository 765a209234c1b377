import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
http = get_asgi_application()  # loads the apps, so the imports below come after it

from chat.routing import websocket_urlpatterns as chat  # noqa: E402
from social.auth import TokenAuth  # noqa: E402
from social.routing import websocket_urlpatterns as social  # noqa: E402

application = ProtocolTypeRouter({"http": http, "websocket": TokenAuth(URLRouter(social + chat))})
