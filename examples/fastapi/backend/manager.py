"""The ConnectionManager as it was before Outrigger, and the switch to Outrigger's."""

import os
from collections import defaultdict

import outrigger_fastapi


class ConnectionManager:
    """The sockets of this process, by channel."""

    def __init__(self):
        self.channels = defaultdict(dict)

    async def connect(self, websocket, channel, user_id):
        await websocket.accept()
        self.channels[channel][websocket] = user_id

    def disconnect(self, websocket, channel):
        self.channels[channel].pop(websocket, None)

    async def broadcast_to_channel(self, channel, message, exclude=None):
        """To all sockets of a channel, but not to `exclude`, the socket it came from."""
        for websocket in list(self.channels[channel]):
            if websocket is not exclude:
                await self.send(websocket, channel, message)

    async def broadcast_to_user(self, channel, user_id, message):
        await self.broadcast_to_users(channel, [user_id], message)

    async def broadcast_to_users(self, channel, user_ids, message):
        for websocket, user_id in list(self.channels[channel].items()):
            if user_id in user_ids:
                await self.send(websocket, channel, message)

    async def send(self, websocket, channel, message):
        try:
            await websocket.send_json(message)
        except Exception:  # the socket is gone
            self.disconnect(websocket, channel)


manager = ConnectionManager()
if url := os.environ.get("OUTRIGGER_URL"):
    secret = os.environ["OUTRIGGER_WEBHOOK_SECRET"]
    passing = ["typing", "TYPING", "user_online", "user_offline"]
    manager = outrigger_fastapi.ConnectionManager(url, secret, wraps=manager, ephemeral=passing)
