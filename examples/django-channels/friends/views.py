"""Friend requests, answers and messages, each told to the other one's group."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from rest_framework.decorators import api_view
from rest_framework.response import Response
from social.models import FriendRequest

from .models import DirectMessage


def notify_user(user_id, event_type, **payload):
    data = {"type": event_type, **payload}
    group_send = async_to_sync(get_channel_layer().group_send)
    group_send(f"user_{user_id}", {"type": "send_notification", "data": data})


def basic(user):
    return {"id": user.id, "username": user.username}


@api_view(["POST"])
def ask(request, username):
    recipient = get_object_or_404(User, username=username)
    asked = FriendRequest.objects.create(sender=request.user, recipient=recipient)
    notify_user(recipient.id, "friend_request", from_user=basic(request.user))
    return Response({"id": asked.pk}, status=201)


@api_view(["POST"])
def accept(request, pk):
    asked = get_object_or_404(FriendRequest, pk=pk, recipient=request.user, accepted=False)
    asked.accepted = True
    asked.save(update_fields=["accepted"])
    notify_user(asked.sender_id, "friend_accepted", from_user=basic(request.user))
    return Response({"id": asked.pk})


@api_view(["POST"])
def send(request):
    recipient = get_object_or_404(User, pk=request.data.get("to_user_id"))
    message = DirectMessage.objects.create(
        sender=request.user, recipient=recipient, content=request.data.get("content", "")
    )
    notify_user(
        recipient.id,
        "new_message",
        from_user=basic(request.user),
        message={"id": message.id, "content": message.content},
    )
    return Response({"id": message.id}, status=201)
