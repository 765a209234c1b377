from django.contrib.auth.models import User
from django.db import models


class Notification(models.Model):
    recipient = models.ForeignKey(User, models.CASCADE, related_name="notifications")
    kind = models.CharField(max_length=40, default="Message")
    title = models.CharField(max_length=200)
    message = models.TextField(blank=True)
    is_read = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def as_json(self):
        return {
            "id": self.pk,
            "type": self.kind,
            "title": self.title,
            "message": self.message,
            "is_read": self.is_read,
            "created_at": self.created_at.isoformat(),
        }


class FriendRequest(models.Model):
    sender = models.ForeignKey(User, models.CASCADE, related_name="requests_sent")
    recipient = models.ForeignKey(User, models.CASCADE, related_name="requests_received")
    accepted = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def as_json(self):
        return {
            "id": self.pk,
            "from_user": person(self.sender),
            "to_user": person(self.recipient),
            "status": "accepted" if self.accepted else "pending",
            "created_at": self.created_at.isoformat(),
        }


def person(user):
    return {"id": user.pk, "username": user.username, "name": user.get_full_name()}


def friends_of(user):
    sent = FriendRequest.objects.filter(sender=user, accepted=True).values_list("recipient", flat=True)
    received = FriendRequest.objects.filter(recipient=user, accepted=True).values_list("sender", flat=True)
    return sorted({*sent, *received})
