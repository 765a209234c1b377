//! Topics that a client comes to hear, and ceases to, by what it says.

use super::{Permit, Reply};
use crate::frame::{Reference, Text};

/// The session hears more from here on, if it may.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// What.
    pub topics: Topics,
    /// Whether it may: asked for each value of a list, and all of them or none is heard.
    pub permit: Permit,
    /// Sent to this socket if it comes to hear nothing.
    pub on_failure: Option<Reply>,
}

/// Topics with what is filled into them.
#[derive(Clone, Debug, PartialEq)]
pub struct Topics {
    /// A list whose values are filled in one after the other.
    pub each: Option<Reference>,
    /// The topics, of each value.
    pub texts: Vec<Text>,
}

impl Topics {
    /// The name of a list's value in templates.
    pub const EACH: &str = "each";
}
