from django.contrib.auth.models import User
from django.db import models


class Conversation(models.Model):
    members = models.ManyToManyField(User, related_name="conversations")

    def as_json(self):
        return {"id": self.pk, "members": sorted(member.pk for member in self.members.all())}


class Message(models.Model):
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    sender = models.ForeignKey(User, models.CASCADE, related_name="messages_sent")
    kind = models.CharField(max_length=10, default="TEXT")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    read_by = models.ManyToManyField(User, related_name="messages_read")

    def as_json(self):
        return {
            "type": self.kind,
            "message": self.text,
            "conversation_id": self.conversation_id,
            "sender_id": self.sender_id,
            "sender_name": self.sender.get_full_name(),
            "sender_avatar": f"/media/avatars/{self.sender.username}.png",
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
            "message_id": self.pk,
        }
