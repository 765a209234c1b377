"""Tells a group the same thing many times, as fast as it goes: a newsletter, an import, a broken loop."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("group")
        parser.add_argument("--times", type=int, default=1)

    def handle(self, group, times, **options):
        async_to_sync(self.announce)(group, times)

    async def announce(self, group, times):
        layer = get_channel_layer()
        for n in range(times):
            notification = {"id": n, "title": "Announcement", "message": f"{n + 1} of {times}"}
            await layer.group_send(
                group, {"type": "notification_message", "notification": notification}
            )
