//! JSON pointers (RFC 6901) in which `*` is every item of a list: `/items/*`.

use serde_json::Value;

/// All that a pointer finds; `None` if it leads nowhere.
pub(super) fn all<'j>(json: &'j Value, pointer: &str) -> Option<Vec<&'j Value>> {
    pointer
        .split('/')
        .skip(1)
        .try_fold(vec![json], |found, part| {
            let found: Option<Vec<_>> = found.into_iter().map(|json| step(json, part)).collect();
            found.map(|found| found.into_iter().flatten().collect())
        })
}

fn step<'j>(json: &'j Value, part: &str) -> Option<Vec<&'j Value>> {
    match json {
        Value::Array(items) if part == "*" => Some(items.iter().collect()),
        Value::Array(items) => items
            .get(part.parse::<usize>().ok()?)
            .map(|item| vec![item]),
        Value::Object(members) => {
            let name = part.replace("~1", "/").replace("~0", "~");
            members.get(&name).map(|value| vec![value])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_star_is_every_item() {
        let json = json!({"items": [{"id": 1, "to": [7, 8]}, {"id": 2, "to": []}], "a/b": 3});
        let found = |pointer| all(&json, pointer).map(|found| json!(found));
        assert_eq!(found("/items/*/id"), Some(json!([1, 2])));
        assert_eq!(found("/items/*/to/*"), Some(json!([7, 8])));
        assert_eq!(found("/items/1/id"), Some(json!([2])));
        assert_eq!(found("/a~1b"), Some(json!([3])));
        assert_eq!(found("/items/*/name"), None);
        assert_eq!(found("/nothing/*"), None);
        assert_eq!(found("/a~1b/*"), None);
    }
}
