//! `outrigger token`: a development token, signed with the config's own secret.

use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::Value;

use super::{
    file::{self, ConfigArg},
    output::{Failure, print, say},
};
use crate::{auth::NoDevelopmentToken, config, routes::Method};

/// Make a token for a user, for trying things out
///
/// It is a JWT that this config accepts, signed with its own secret: claims that it
/// requires are filled in. Only the token goes to standard output.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(super) struct TokenArgs {
    /// Whose token; a whole number is a JSON number, in the claim sub a text
    #[arg(long, value_name = "ID")]
    user: String,
    /// The user's id is a text, also if it looks like a number
    #[arg(long)]
    text: bool,
    /// One more claim, JSON or a plain text; may be given several times
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, Value)>,
    /// How long it is valid: 30s, 5m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = config::duration)]
    expires: Duration,
    #[command(flatten)]
    config: ConfigArg,
}

const EXAMPLES: &str = "\
Examples:
  outrigger token --user 42
  outrigger token --user 42 --claim role=admin --claim 'groups=[\"staff\"]' --expires 7d
  outrigger token --user 42 | outrigger explain GET /ws/notifications/ --token -";

pub(super) fn run(args: TokenArgs) -> Result<(), Failure> {
    let loaded = file::read_found(args.config.config)?;
    let Method::Jwt(verifier) = &loaded.settings.auth.method else {
        return Err(Failure::new(
            "the config has no [auth.jwt], so no token means anything to it",
            "log in to the app and use what it gives you",
        ));
    };
    let user = match args.text || is_text(&verifier.user_claim) {
        true => Value::String(args.user),
        false => user_value(&args.user),
    };
    let now = SystemTime::now();
    let token = verifier.development_token(user.clone(), &args.claims, args.expires, now);
    let token = token.map_err(|error| Failure::new(&error, way_out(&error)))?;
    say(&format!(
        "a token for user {user}, signed with the config's secret, good for {:?}",
        args.expires
    ));
    print(token.expose())
}

fn way_out(error: &NoDevelopmentToken) -> &'static str {
    match error {
        NoDevelopmentToken::NoSecret => "log in to the app and use the token it gives you",
        NoDevelopmentToken::Refused(_) => "give the claim that is asked for: --claim NAME=VALUE",
        NoDevelopmentToken::NoRandom => "look after the system's random numbers",
    }
}

/// Strict libraries, PyJWT for one, refuse a number there.
fn is_text(claim: &str) -> bool {
    claim == "sub"
}

/// A user's id as an app would issue it: a number stays a number.
pub(super) fn user_value(text: &str) -> Value {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = whole && (digits == "0" || !digits.starts_with('0'));
    let number = serde_json::from_str(text).ok().filter(|_| canonical);
    number.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write name=value")?;
    let plain = |_| Value::String(value.to_owned());
    Ok((
        name.to_owned(),
        serde_json::from_str(value).unwrap_or_else(plain),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_that_reads_as_a_number_is_one() {
        assert_eq!(user_value("42"), json!(42));
        assert_eq!(user_value("0"), json!(0));
        assert_eq!(
            user_value("98765432109876543210").to_string(),
            "98765432109876543210"
        );
        for text in ["", "-", "007", "1.0", "1e3", "ada", "4 2"] {
            assert_eq!(user_value(text), json!(text));
        }
    }

    #[test]
    fn a_claim_is_json_or_a_text() {
        assert_eq!(claim("a=1"), Ok(("a".into(), json!(1))));
        assert_eq!(claim("a=[\"b\"]"), Ok(("a".into(), json!(["b"]))));
        assert_eq!(claim("a=b=c"), Ok(("a".into(), json!("b=c"))));
        assert!(claim("=1").is_err() && claim("a").is_err());
    }
}
