"""What happens in a conversation, from the HTTP API or over a socket."""

from django.contrib.auth.models import User
from django.db import transaction
from social.actions import tell

from .models import Conversation, Message


def ids_of(user):
    return list(user.conversations.order_by("pk").values_list("pk", flat=True))


def is_member(user, pk):
    return isinstance(pk, int) and user.conversations.filter(pk=pk).exists()


@transaction.atomic
def begin(user, others):
    conversation = Conversation.objects.create()
    conversation.members.set([user, *User.objects.filter(pk__in=others)])
    for member in conversation.members.order_by("pk"):
        tell(
            f"inbox_{member.pk}",
            {"type": "conversation.created", "conversation": conversation.as_json()},
        )
    return conversation


@transaction.atomic
def say(user, pk, text, kind="TEXT"):
    message = Message.objects.create(conversation_id=pk, sender=user, text=text, kind=kind)
    tell(f"chat_{pk}", {"type": "chat.message", "message": message.as_json()})
    return message


def type_in(user, pk, is_typing, by=None):
    """`by` is the channel of the socket that says it, if it is one: it does not hear itself."""
    tell(
        f"chat_{pk}",
        {
            "type": "chat.typing",
            "conversation_id": pk,
            "user_id": user.pk,
            "is_typing": is_typing,
            "sender_channel": by,
        },
    )


def read(user, pk, message_id):
    """Everything up to the message is read."""
    unread = Message.objects.filter(conversation_id=pk, pk__lte=message_id).exclude(sender=user)
    for message in unread.exclude(read_by=user):
        message.read_by.add(user)
    tell(
        f"chat_{pk}",
        {"type": "chat.read", "conversation_id": pk, "user_id": user.pk, "message_id": message_id},
    )
