//! What a condition asks: of the user, of a message, of an event.

use serde_json::Value as Json;

use super::{Condition, Follow, Local, Value};
use crate::cli::init::python::{Expr, ExprKind};

/// Fields that hold a text, so that they are true when it is not empty. Of others nobody
/// knows: a flag is true in its own way.
const TEXTS: [&str; 7] = [
    "text", "content", "message", "body", "name", "title", "comment",
];
/// More values of a field than an action can be for.
const MOST_VALUES: usize = 50;

impl Follow<'_> {
    /// What must hold, all of it, for a condition to be true.
    pub(super) fn conditions(&mut self, expr: &Expr, local: &mut Local) -> Vec<Condition> {
        let mut all = self.written(expr, local);
        all.retain(|one| *one != Condition::Constant(true));
        all
    }

    fn written(&mut self, expr: &Expr, local: &mut Local) -> Vec<Condition> {
        let unclear = Condition::Unclear(self.quote(expr, local.file));
        match &expr.kind {
            ExprKind::And(parts) => {
                let all = parts.iter().map(|part| self.conditions(part, local));
                all.collect::<Vec<_>>().concat()
            }
            ExprKind::Not(inner) => Condition::negate(self.conditions(inner, local)),
            ExprKind::Or(parts) => {
                let all = parts.iter().map(|part| self.conditions(part, local));
                vec![either(&all.collect::<Vec<_>>()).unwrap_or(unclear)]
            }
            ExprKind::Compare(left, operator, right) => {
                let (left, right) = (self.value(left, local), self.value(right, local));
                vec![compare(&left, operator, &right).unwrap_or(unclear)]
            }
            ExprKind::Call(call) if call.callee.dotted().as_deref() == Some("isinstance") => {
                let [what, kind] = call.arguments.as_slice() else {
                    return vec![unclear];
                };
                let what = self.value(what, local);
                let kind = kind.dotted().unwrap_or_default();
                vec![is_instance(&what, &kind).unwrap_or(unclear)]
            }
            _ => match self.value(expr, local) {
                Value::Path(path) => vec![truth(&path).unwrap_or(unclear)],
                Value::Json(Json::Bool(yes)) => vec![Condition::Constant(yes)],
                Value::Json(Json::Null) => vec![Condition::Constant(false)],
                _ => vec![unclear],
            },
        }
    }
}

/// One condition for several that are joined by `or`.
fn either(all: &[Vec<Condition>]) -> Option<Condition> {
    let singles = all.iter().map(|one| match one.as_slice() {
        [single] => Some(single),
        _ => None,
    });
    let singles = singles.collect::<Option<Vec<_>>>()?;
    let (first, rest) = singles.split_first()?;
    let mut whole = (*first).clone();
    for one in rest {
        match (&mut whole, one) {
            (Condition::Stranger(true), Condition::Stranger(true)) => {}
            // No string, or an empty one: no text.
            (Condition::Type(path, kind, false), Condition::Type(other, more, false))
                if path == other
                    && [*kind, *more]
                        .iter()
                        .all(|one| ["string", "text"].contains(one)) =>
            {
                *kind = "text";
            }
            (Condition::OneOf(path, values, true), Condition::OneOf(other, more, true))
                if path == other =>
            {
                values.extend(more.iter().cloned());
            }
            _ => return None,
        }
    }
    Some(whole)
}

fn compare(left: &Value, operator: &str, right: &Value) -> Option<Condition> {
    let yes = match operator {
        "==" | "is" | "in" => true,
        "!=" | "is not" | "not in" => false,
        _ => return None,
    };
    if operator.ends_with("in") {
        let (Value::Path(path), Value::List(values)) = (left, right) else {
            return None;
        };
        if values.len() > MOST_VALUES {
            return None;
        }
        let values = values.iter().map(|value| match value {
            Value::Json(json) => Some(json.clone()),
            _ => None,
        });
        return Some(Condition::OneOf(
            path.clone(),
            values.collect::<Option<_>>()?,
            yes,
        ));
    }
    match (left, right) {
        (Value::Path(path), Value::Json(Json::Null)) if is_user(path) => {
            Some(Condition::Stranger(yes))
        }
        // There always is a message.
        (Value::Path(path), Value::Json(Json::Null)) if path == "raw" => {
            Some(Condition::Constant(!yes))
        }
        (Value::Path(user), Value::Path(nobody)) if user == "user" && nobody == "nobody" => {
            Some(Condition::Stranger(yes))
        }
        // What is not there is the default.
        (Value::Default(path, default), Value::Json(json)) if default == json => {
            let values = vec![json.clone(), Json::Null];
            Some(Condition::OneOf(path.clone(), values, yes))
        }
        (Value::Path(path) | Value::Default(path, _), Value::Json(json))
        | (Value::Json(json), Value::Path(path)) => {
            Some(Condition::OneOf(path.clone(), vec![json.clone()], yes))
        }
        (Value::Path(own), Value::Path(path)) | (Value::Path(path), Value::Path(own))
            if own == "channel" =>
        {
            Some(Condition::OwnSocket(path.clone(), yes))
        }
        (Value::Path(path), own) | (own, Value::Path(path)) if is_own_id(own) => {
            Some(Condition::OwnUser(path.clone(), yes))
        }
        _ => None,
    }
}

/// The user's id, as it is or as a text.
fn is_own_id(value: &Value) -> bool {
    match value {
        Value::Text(parts) => *parts == [super::Part::Path("user.id".into())],
        value => value.is("user.id"),
    }
}

fn is_user(path: &str) -> bool {
    path == "user" || path == "user.id"
}

fn truth(path: &str) -> Option<Condition> {
    match path {
        "user" | "user.id" | "user.is_authenticated" => Some(Condition::Stranger(false)),
        "user.is_anonymous" => Some(Condition::Stranger(true)),
        "raw" | "message" => Some(Condition::Constant(true)),
        field => {
            let (message, name) = field.rsplit_once('.')?;
            let text = message.starts_with("message") && TEXTS.contains(&name);
            text.then(|| Condition::Type(path.into(), "text", true))
        }
    }
}

fn is_instance(what: &Value, kind: &str) -> Option<Condition> {
    let Value::Path(path) = what else { return None };
    if path == "user" && kind.ends_with("AnonymousUser") {
        return Some(Condition::Stranger(true));
    }
    let kind = match kind {
        "str" => "string",
        "int" => "integer",
        "float" => "number",
        "bool" => "boolean",
        "dict" => "object",
        "list" => "array",
        _ => return None,
    };
    Some(Condition::Type(path.clone(), kind, true))
}
