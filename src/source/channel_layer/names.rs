//! Names and places of keys, as `channels_redis` has them.

/// Whether Channels takes a text as the name of a group.
pub(super) fn is_group(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() < 100 && name.bytes().all(fits)
}

/// The key of a group of the core layer.
pub(super) fn group_key(prefix: &str, group: &str) -> String {
    format!("{prefix}:group:{group}")
}

/// The channel of a group of the pub/sub layer.
pub(super) fn group_channel(prefix: &str, group: &str) -> String {
    format!("{prefix}__group__{group}")
}

/// The group of such a channel.
pub(super) fn group<'a>(prefix: &str, channel: &'a str) -> Option<&'a str> {
    let group = channel.strip_prefix(prefix)?.strip_prefix("__group__")?;
    is_group(group).then_some(group)
}

/// The pattern that all channels of groups fit.
pub(super) fn all_groups(prefix: &str) -> String {
    let mut pattern = String::new();
    for char in prefix.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern + "__group__*"
}

/// The part of a channel's name that names the queue of its process.
pub(super) fn queue(channel: &str) -> &str {
    let end = channel.find('!').map_or(channel.len(), |at| at + 1);
    channel.get(..end).unwrap_or(channel)
}

/// Which of so many hosts a name belongs to.
pub(super) fn host(name: &str, hosts: usize) -> usize {
    if hosts <= 1 {
        return 0;
    }
    let value = crc32fast::hash(name.as_bytes()) & 0xFFF;
    // As the library divides, floating point included.
    (f64::from(value) / (4096.0 / hosts as f64)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_where_the_library_puts_them() {
        // `_consistent_hash(name, n)` of channels_redis 4.3 for n = 1, 2, 3, 5, 7.
        for (name, expected) in [
            ("user_6", [0, 1, 1, 2, 3]),
            ("chat_1", [0, 0, 0, 0, 0]),
            (
                "specific.0123456789abcdef0123456789abcdef!",
                [0, 0, 1, 1, 2],
            ),
            ("a", [0, 1, 2, 4, 6]),
            ("asgi__group__user_6", [0, 0, 1, 2, 3]),
        ] {
            let hosts = [1, 2, 3, 5, 7].map(|hosts| host(name, hosts));
            assert_eq!(hosts, expected, "{name}");
        }
    }

    #[test]
    fn groups_have_the_names_that_channels_takes() {
        for name in ["a", "user_6", "chat-1.x", &"x".repeat(99)] {
            assert!(is_group(name), "{name}");
        }
        for name in [
            "",
            "a b",
            "user:6",
            "é",
            "a!b",
            "a/b",
            "a\n",
            &"x".repeat(100),
        ] {
            assert!(!is_group(name), "{name}");
        }
    }

    #[test]
    fn all_channels_of_groups_are_found_and_read_back() {
        assert_eq!(all_groups("asgi"), "asgi__group__*");
        assert_eq!(all_groups("a*[b]"), "a\\*\\[b\\]__group__*");
        let channel = group_channel("asgi", "chat_1");
        assert_eq!(group("asgi", &channel), Some("chat_1"));
        assert_eq!(group("other", &channel), None);
        assert_eq!(group("asgi", "asgi__group__no group"), None);
    }

    #[test]
    fn a_queue_is_named_by_what_stands_before_the_local_part() {
        assert_eq!(queue("specific.ab!g17"), "specific.ab!");
        assert_eq!(queue("general"), "general");
    }
}
