"""The settings with Outrigger's drop-in around the channel layer: for where Outrigger cannot reach Redis."""

import os

from .settings import *  # noqa: F403
from .settings import CHANNEL_LAYERS

OUTRIGGER_URL = os.environ["OUTRIGGER_URL"]
OUTRIGGER_SECRET = os.environ["OUTRIGGER_WEBHOOK_SECRET"]
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "outrigger_django.OutriggerChannelLayer",
        "CONFIG": {"wraps": CHANNEL_LAYERS["default"], "ephemeral": ["presence_update", "chat_typing"]},
    }
}
