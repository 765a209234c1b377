"""Tokens: HS256, `type` is "access", `user_id` an integer."""

import os
import time

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPBearer

from .store import USERS

SECRET = os.environ.get("JWT_SECRET", "only-for-development-0123456789abcdef")
bearer = HTTPBearer()


def make_token(user, kind="access", lifetime=3600):
    claims = {"user_id": user.id, "type": kind, "exp": int(time.time()) + lifetime}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def user_of(token):
    """The user of an access token, or None."""
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp"]})
    except jwt.InvalidTokenError:
        return None
    user_id = claims.get("user_id")
    if claims.get("type") != "access" or not isinstance(user_id, int):
        return None
    return USERS.get(user_id)


def current_user(credentials=Depends(bearer)):
    if user := user_of(credentials.credentials):
        return user
    raise HTTPException(401, "invalid token")
