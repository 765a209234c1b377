//! Which leg a user stands on, and why. Pure: the same user and the same rules
//! give the same answer on every node and after every restart.

use std::{collections::HashSet, fmt};

use aws_lc_rs::digest::{SHA256, digest};

use crate::event::UserId;

/// How a session is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// By Outrigger, from the feed.
    Feed,
    /// By the app: the socket is relayed to it.
    App,
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Feed => "feed",
            Self::App => "app",
        })
    }
}

/// How many users stand on the feed leg.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// Nobody.
    Off,
    /// This share of the users, 0 to 100, always the same ones.
    Percent(f64),
    /// Everybody.
    On,
}

/// The rules of one endpoint or flag.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// How many.
    pub share: Share,
    /// On the feed leg whatever the share says.
    pub always: HashSet<UserId>,
    /// On the app leg whatever else is said.
    pub never: HashSet<UserId>,
    /// Makes the choice of users differ from one endpoint to another. Changing
    /// it draws the users anew.
    pub salt: String,
}

/// Why a leg was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// The rollout is off.
    Off,
    /// The rollout is on for all.
    On,
    /// The user is on the `always` list.
    Always,
    /// The user is on the `never` list.
    Never,
    /// The user's bucket (0 to 100) against the share.
    Bucket {
        /// Where the user falls.
        bucket: f64,
        /// How far the rollout reaches.
        percent: f64,
    },
    /// A share of users was asked for, and this is nobody we know.
    Anonymous,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("rollout is off"),
            Self::On => f.write_str("rollout is on"),
            Self::Always => f.write_str("the user is on the always list"),
            Self::Never => f.write_str("the user is on the never list"),
            Self::Bucket { bucket, percent } if bucket < percent => {
                write!(
                    f,
                    "the user's bucket {bucket:.2} is below {percent} percent"
                )
            }
            Self::Bucket { bucket, percent } => {
                write!(
                    f,
                    "the user's bucket {bucket:.2} is not below {percent} percent"
                )
            }
            Self::Anonymous => f.write_str("a share of users is chosen by user, and none is known"),
        }
    }
}

impl Rollout {
    /// Everybody on the feed leg.
    pub fn on() -> Self {
        Self::of(Share::On, "")
    }

    /// A share of the users, without lists.
    pub fn of(share: Share, salt: impl Into<String>) -> Self {
        Self {
            share,
            always: HashSet::new(),
            never: HashSet::new(),
            salt: salt.into(),
        }
    }

    /// The leg of a user, and why.
    pub fn decide(&self, user: Option<&UserId>) -> (Leg, Why) {
        if let Some(user) = user {
            if self.never.contains(user) {
                return (Leg::App, Why::Never);
            }
            if self.always.contains(user) {
                return (Leg::Feed, Why::Always);
            }
        }
        match self.share {
            Share::Off => (Leg::App, Why::Off),
            Share::On => (Leg::Feed, Why::On),
            Share::Percent(percent) => self.by_bucket(user, percent),
        }
    }

    /// Whether the answer depends on who the user is.
    pub fn asks_for_user(&self) -> bool {
        matches!(self.share, Share::Percent(_)) || !self.always.is_empty() || !self.never.is_empty()
    }

    fn by_bucket(&self, user: Option<&UserId>, percent: f64) -> (Leg, Why) {
        let Some(user) = user else {
            return (Leg::App, Why::Anonymous);
        };
        let bucket = bucket(&self.salt, user);
        let leg = if bucket < percent {
            Leg::Feed
        } else {
            Leg::App
        };
        (leg, Why::Bucket { bucket, percent })
    }
}

/// Where a user falls between 0 and 100, evenly spread, by a hash of salt and id.
/// Raising a share therefore only adds users, and lowering it only takes them away.
fn bucket(salt: &str, user: &UserId) -> f64 {
    let hash = digest(&SHA256, format!("{salt}\0{user}").as_bytes());
    let bytes = hash.as_ref();
    let number = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    f64::from(number) / (f64::from(u32::MAX) + 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users_on(share: Share, salt: &str) -> HashSet<u32> {
        let rollout = Rollout::of(share, salt);
        (0..10_000)
            .filter(|n| rollout.decide(Some(&n.to_string().into())).0 == Leg::Feed)
            .collect()
    }

    #[test]
    fn a_quarter_is_a_quarter_and_always_the_same_one() {
        let first = users_on(Share::Percent(25.0), "notifications");
        assert!((2_300..2_700).contains(&first.len()), "{}", first.len());
        assert_eq!(first, users_on(Share::Percent(25.0), "notifications"));
        assert_ne!(first, users_on(Share::Percent(25.0), "messages"));
    }

    #[test]
    fn turning_it_up_only_adds_users() {
        let quarter = users_on(Share::Percent(25.0), "x");
        let half = users_on(Share::Percent(50.0), "x");
        assert!(quarter.is_subset(&half));
        assert_eq!(users_on(Share::Percent(100.0), "x").len(), 10_000);
        assert_eq!(users_on(Share::Percent(0.0), "x").len(), 0);
    }

    #[test]
    fn lists_beat_the_share_and_never_beats_always() {
        let mut rollout = Rollout::of(Share::Off, "");
        rollout.always.insert("1".into());
        rollout.always.insert("2".into());
        rollout.never.insert("2".into());
        assert_eq!(rollout.decide(Some(&"1".into())), (Leg::Feed, Why::Always));
        assert_eq!(rollout.decide(Some(&"2".into())), (Leg::App, Why::Never));
        assert_eq!(rollout.decide(None), (Leg::App, Why::Off));
    }
}
