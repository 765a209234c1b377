"""What users do, from the HTTP API or over a socket: change the database, tell the sockets."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.core.cache import cache
from django.db import transaction

from .models import FriendRequest, Notification, friends_of

SECONDS_ONLINE = 60


def tell(group, message):
    """Sends to a group once the change is committed."""
    group_send = async_to_sync(get_channel_layer().group_send)
    transaction.on_commit(lambda: group_send(group, message))


def notify(recipient, title, message="", kind="Message"):
    notification = Notification.objects.create(
        recipient=recipient, title=title, message=message, kind=kind
    )
    tell(
        f"notifications_{recipient.pk}",
        {"type": "notification_message", "notification": notification.as_json()},
    )
    return notification


def mark_as_read(user, pk):
    return user.notifications.filter(pk=pk).update(is_read=True) == 1


def mark_all_as_read(user):
    return user.notifications.filter(is_read=False).update(is_read=True)


def tell_friend_request(user, action, request):
    count = {
        "received": user.requests_received.filter(accepted=False).count(),
        "sent": user.requests_sent.filter(accepted=False).count(),
    }
    tell(
        f"friend_requests_{user.pk}",
        {
            "type": "friend_request_update",
            "action": action,
            "friend_request": request.as_json(),
            "count": count,
        },
    )


@transaction.atomic
def ask_to_be_friends(sender, recipient):
    request = FriendRequest.objects.create(sender=sender, recipient=recipient)
    tell_friend_request(recipient, "created", request)
    return request


@transaction.atomic
def accept_friend_request(request):
    request.accepted = True
    request.save(update_fields=["accepted"])
    tell_friend_request(request.sender, "accepted", request)
    tell_friend_request(request.recipient, "accepted", request)
    name = request.recipient.get_full_name()
    notify(request.sender, f"{name} accepted your friend request", kind="Friend Request Accepted")


def heartbeat(user):
    """The user is there: their friends hear it."""
    cache.set(f"presence_{user.pk}", 1, SECONDS_ONLINE)
    for friend in friends_of(user):
        tell(f"presence_{friend}", {"type": "presence_update", "user_id": user.pk, "online": True})


def friends_online(user):
    keys = {f"presence_{friend}": friend for friend in friends_of(user)}
    return sorted(keys[key] for key in cache.get_many(keys))
