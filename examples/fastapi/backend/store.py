"""The example's data: in memory, gone with the process. Passwords are all `outrigger`."""

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class User:
    id: int
    username: str
    full_name: str

    @property
    def avatar(self):
        return f"https://example.org/avatars/{self.id}.png"


USERS = {
    user.id: user
    for user in [
        User(1, "jose", "José Ångström"),
        User(2, "zoe", "Zoë O'Neil 🚣"),
        User(3, "lilei", "李雷"),
    ]
}
# Chats and who is in them.
CHATS = {1: [1, 2], 2: [1, 3], 3: [1, 2, 3]}


@dataclass
class Store:
    messages: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    posts: list = field(default_factory=list)

    def add(self, kind, **values):
        rows = getattr(self, kind)
        row = {"id": len(rows) + 1, **values, "timestamp": now()}
        rows.append(row)
        return row


def now():
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")


store = Store()
