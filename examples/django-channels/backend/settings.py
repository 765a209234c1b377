"""Settings of the example. Everything that differs between machines comes from the environment."""

import os
from datetime import timedelta
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only-for-development-0123456789abcdef")
DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "channels",
    "social",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "backend.urls"
ASGI_APPLICATION = "backend.asgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DJANGO_DATABASE", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(hours=1)}

# The layer that the app had before: one process, or Redis for several.
if redis := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [redis]}}
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Outrigger. Without OUTRIGGER_URL nothing below does anything.
OUTRIGGER_URL = os.environ.get("OUTRIGGER_URL", "")
OUTRIGGER_SECRET = os.environ.get("OUTRIGGER_WEBHOOK_SECRET", "")
# "layer": the channel layer forwards every group_send. "publish": the app calls publish() itself.
OUTRIGGER_VIA = os.environ.get("OUTRIGGER_VIA", "layer")
if OUTRIGGER_URL and OUTRIGGER_VIA == "layer":
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "outrigger_django.OutriggerChannelLayer",
            "CONFIG": {"wraps": CHANNEL_LAYERS["default"], "ephemeral": ["presence_update"]},
        }
    }
