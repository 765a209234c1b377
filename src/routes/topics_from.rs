//! Where in an answer of the app the topics of a session stand.

use std::time::Duration;

use serde_json::Value;

use crate::frame::Text;

/// A question to the app at connect, with the client's own credentials: each value in
/// the answer is a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicsFrom {
    /// The path.
    pub path: Text,
    /// Which values of the answer.
    pub each: Each,
    /// The topic of a value, which is the path parameter of the name [`Self::VALUE`].
    pub topic: Text,
    /// JSON pointer to the URL of the next page in the answer.
    pub next: Option<Box<str>>,
    /// How long an answer is believed.
    pub cache: Duration,
}

impl TopicsFrom {
    /// The name of the value in a topic's template.
    pub const VALUE: &str = "value";
}

/// A JSON pointer (RFC 6901) in which `*` is every item of a list and every member of
/// an object: `/results/*/id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Each(Box<[Box<str>]>);

/// There is nothing at the place where a list was to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer has nothing at `{0}`")]
pub struct Nowhere(String);

impl Each {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The message says what it looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix('/') {
            Some(rest) => Ok(Self(rest.split('/').map(unescaped).collect())),
            None => Err(format!("`{text}` does not begin with a slash")),
        }
    }

    /// The values, in their order.
    ///
    /// # Errors
    /// There is nothing where the first list was to be: not the same as an empty list.
    pub fn find<'v>(&self, answer: &'v Value) -> Result<Vec<&'v Value>, Nowhere> {
        let fixed = self.0.iter().take_while(|part| &***part != "*").count();
        let (fixed, rest) = self.0.split_at(fixed);
        let start = fixed
            .iter()
            .try_fold(answer, |value, part| step(value, part).into_iter().next())
            .filter(|start| rest.is_empty() || start.is_array() || start.is_object())
            .ok_or_else(|| Nowhere(format!("/{}", fixed.join("/"))))?;
        let mut found = vec![start];
        for part in rest {
            found = found
                .into_iter()
                .flat_map(|value| step(value, part))
                .collect();
        }
        Ok(found)
    }
}

fn step<'v>(value: &'v Value, part: &str) -> Vec<&'v Value> {
    match (value, part) {
        (Value::Array(items), "*") => items.iter().collect(),
        (Value::Object(members), "*") => members.values().collect(),
        (Value::Array(items), _) => {
            let index = part.parse::<usize>().ok();
            index
                .and_then(|index| items.get(index))
                .into_iter()
                .collect()
        }
        (Value::Object(members), _) => members.get(part).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn unescaped(part: &str) -> Box<str> {
    part.replace("~1", "/").replace("~0", "~").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(each: &str, answer: &Value) -> Result<Vec<String>, String> {
        let found = Each::parse(each).unwrap().find(answer);
        let texts = found.map(|found| found.into_iter().map(ToString::to_string).collect());
        texts.map_err(|nowhere| nowhere.to_string())
    }

    #[test]
    fn every_item_and_member_is_found_in_order() {
        let page = json!({"results": [{"id": 1}, {"name": "x"}, {"id": "b"}]});
        assert_eq!(found("/results/*/id", &page).unwrap(), ["1", "\"b\""]);
        assert_eq!(found("/*", &json!([3, 1])).unwrap(), ["3", "1"]);
        assert_eq!(
            found("/a~1b/*", &json!({"a/b": {"x": 1, "y": 2}})).unwrap(),
            ["1", "2"]
        );
        assert_eq!(found("/0/id", &json!([{"id": 7}])).unwrap(), ["7"]);
    }

    #[test]
    fn an_empty_list_is_not_a_missing_one() {
        assert_eq!(
            found("/results/*/id", &json!({"results": []})).unwrap(),
            [""; 0]
        );
        for answer in [json!({"error": "x"}), json!({"results": null}), json!(null)] {
            let said = found("/results/*/id", &answer).unwrap_err();
            assert_eq!(said, "the answer has nothing at `/results`");
        }
        assert!(Each::parse("results").is_err());
    }
}
