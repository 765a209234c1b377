from chat import views as chat
from django.urls import path
from friends import views as friends
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView
from social import views as social

urlpatterns = [
    path("api/auth/login/", TokenObtainPairView.as_view()),
    path("api/auth/refresh/", TokenRefreshView.as_view()),
    path("api/auth/me/", social.me),
    path("api/notifications/", social.notifications),
    path("api/notifications/read-all/", social.read_all),
    path("api/notifications/<int:pk>/read/", social.read),
    path("api/friend-requests/", social.friend_requests),
    path("api/friend-requests/<int:pk>/accept/", social.accept),
    path("api/presence/heartbeat/", social.heartbeat),
    path("api/presence/", social.online),
    path("api/conversations/", chat.conversations),
    path("api/conversations/<int:pk>/", chat.conversation),
    path("api/conversations/<int:pk>/messages/", chat.messages),
    path("api/conversations/<int:pk>/typing/", chat.typing),
    path("api/conversations/<int:pk>/read/", chat.read),
    path("api/friends/request/<str:username>/", friends.ask),
    path("api/friends/accept/<int:pk>/", friends.accept),
    path("api/messages/send/", friends.send),
]
