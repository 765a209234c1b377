from django.urls import path
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from social import views

urlpatterns = [
    path("api/auth/login/", TokenObtainPairView.as_view()),
    path("api/auth/refresh/", TokenRefreshView.as_view()),
    path("api/auth/me/", views.me),
    path("api/notifications/", views.notifications),
    path("api/notifications/read-all/", views.read_all),
    path("api/notifications/<int:pk>/read/", views.read),
    path("api/friend-requests/", views.friend_requests),
    path("api/friend-requests/<int:pk>/accept/", views.accept),
    path("api/presence/heartbeat/", views.heartbeat),
]
