"""The sockets as they were before Outrigger."""

import json

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from . import actions


class UserConsumer(AsyncWebsocketConsumer):
    """Joins the groups of one user; strangers are refused before the socket is accepted."""

    groups_of_user = ()

    async def connect(self):
        user = self.scope["user"]
        if user.is_anonymous:
            await self.close()
            return
        self.joined = [f"{group}_{user.pk}" for group in self.groups_of_user]
        for group in self.joined:
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        for group in getattr(self, "joined", ()):
            await self.channel_layer.group_discard(group, self.channel_name)

    async def send_json(self, content):
        await self.send(text_data=json.dumps(content))


class NotificationActions:
    async def act(self, message):
        user = self.scope["user"]
        match message.get("action"):
            case "mark_as_read":
                pk = message.get("notification_id")
                if isinstance(pk, int):
                    await database_sync_to_async(actions.mark_as_read)(user, pk)
            case "mark_all_as_read":
                await database_sync_to_async(actions.mark_all_as_read)(user)

    async def notification_message(self, event):
        await self.send_json({"type": "notification", "notification": event["notification"]})


class NotificationConsumer(NotificationActions, UserConsumer):
    groups_of_user = ["notifications"]

    async def receive(self, text_data=None, bytes_data=None):
        try:
            message = json.loads(text_data or "")
        except json.JSONDecodeError:
            return
        if isinstance(message, dict):
            await self.act(message)


class FriendRequestConsumer(UserConsumer):
    groups_of_user = ["friend_requests"]

    async def receive(self, text_data=None, bytes_data=None):
        try:
            json.loads(text_data or "")
        except json.JSONDecodeError:
            await self.send_json({"error": "Invalid JSON"})

    async def friend_request_update(self, event):
        await self.send_json(
            {
                "type": "friend_request_update",
                "action": event["action"],
                "friend_request": event["friend_request"],
                "count": event["count"],
            }
        )


class RealtimeConsumer(NotificationActions, FriendRequestConsumer):
    """Everything on one socket."""

    groups_of_user = ["notifications", "friend_requests", "presence"]

    async def receive(self, text_data=None, bytes_data=None):
        try:
            message = json.loads(text_data or "")
        except json.JSONDecodeError:
            await self.send_json({"error": "Invalid JSON"})
            return
        if not isinstance(message, dict):
            return
        if message.get("action") == "presence_heartbeat":
            await database_sync_to_async(actions.heartbeat)(self.scope["user"])
        else:
            await self.act(message)

    async def presence_update(self, event):
        await self.send_json(
            {"type": "presence", "user_id": event["user_id"], "online": event["online"]}
        )
