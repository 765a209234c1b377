//! Where a token is looked for in a request, and which one wins.

use crate::secret::Secret;

/// A place a token may stand in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// A query parameter of this name.
    Query(String),
    /// A cookie of this name.
    Cookie(String),
    /// A header of this name, with or without `Bearer`.
    Header(http::HeaderName),
    /// A subprotocol offered after this one: `Sec-WebSocket-Protocol: bearer, <token>`.
    Subprotocol(String),
}

/// When the next source is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FallThrough {
    /// Only if this one holds no token.
    #[default]
    Absent,
    /// Also if the token it holds does not verify.
    Invalid,
}

/// Which of several query parameters of one name counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeated {
    /// The first, as Django apps that take `parse_qs(...)[0]`.
    #[default]
    First,
    /// The last, as Starlette's `query_params`.
    Last,
}

/// What an empty token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empty {
    /// None.
    #[default]
    Absent,
    /// A bad one.
    Bad,
}

/// The sources in order, and the rules between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSources {
    /// Tried in this order.
    pub sources: Vec<TokenSource>,
    /// When the next one is tried.
    pub fall_through: FallThrough,
    /// Which of several parameters counts.
    pub repeated: Repeated,
    /// What an empty token is.
    pub empty: Empty,
}

/// A token and where it stood.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub text: Secret,
    /// Where it stood.
    pub source: TokenSource,
}

impl TokenSources {
    /// The tokens a request holds, in the order in which they are to be tried.
    pub fn find(&self, request: &http::request::Parts) -> Vec<Token> {
        let _ = request;
        Vec::new()
    }
}
