"""Who opens a socket: the SimpleJWT access token in `?token=`."""

from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken


@database_sync_to_async
def user_of(token):
    try:
        return User.objects.get(pk=AccessToken(token)["user_id"], is_active=True)
    except (TokenError, KeyError, ValueError, User.DoesNotExist):
        return AnonymousUser()


class TokenAuth:
    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        query = parse_qs(scope["query_string"].decode())
        token = query.get("token", [""])[0]
        scope["user"] = await user_of(token) if token else AnonymousUser()
        return await self.inner(scope, receive, send)
