from django.urls import path

from . import consumers

websocket_urlpatterns = [
    path("ws/notifications/", consumers.NotificationConsumer.as_asgi()),
    path("ws/friend-requests/", consumers.FriendRequestConsumer.as_asgi()),
    path("ws/realtime/", consumers.RealtimeConsumer.as_asgi()),
]
