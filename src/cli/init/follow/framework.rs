//! What the frameworks' own objects do: a consumer, the channel layer, a WebSocket, and
//! the manager that FastAPI projects write themselves.

use serde_json::Value as Json;

use super::{Follow, Local, Spelling, Value, What};
use crate::cli::init::python::{Call, Expr};

impl Follow<'_> {
    /// `self.name(...)`, where it is the framework's.
    pub(super) fn of_consumer(
        &mut self,
        expr: &Expr,
        call: &Call,
        name: &str,
        local: &mut Local,
    ) -> Option<Value> {
        let what = match name {
            "accept" => What::Accept,
            "close" => self.close(call, local),
            "send" => {
                let text = self.argument(call, "text_data", 0, local)?;
                sent(text)
            }
            "send_json" => What::Send(self.argument(call, "content", 0, local)?, Spelling::Python),
            _ => return None,
        };
        self.noted(expr, local, what)
    }

    pub(super) fn of_layer(
        &mut self,
        expr: &Expr,
        call: &Call,
        name: &str,
        local: &mut Local,
    ) -> Option<Value> {
        let group = self.argument(call, "group", 0, local)?;
        let what = match name {
            "group_add" => What::Join(group),
            "group_discard" => What::Leave,
            "group_send" => What::Tell {
                group,
                message: self.argument(call, "message", 1, local)?,
                others: false,
            },
            _ => return None,
        };
        self.noted(expr, local, what)
    }

    /// Starlette's WebSocket.
    pub(super) fn of_socket(
        &mut self,
        expr: &Expr,
        call: &Call,
        name: &str,
        local: &mut Local,
    ) -> Option<Value> {
        let what = match name {
            "accept" => What::Accept,
            "close" => self.close(call, local),
            "send_text" => sent(self.argument(call, "data", 0, local)?),
            "send_json" => What::Send(self.argument(call, "data", 0, local)?, Spelling::Compact),
            "receive_text" | "iter_text" | "receive_json" | "iter_json" => {
                self.note(expr, local.file, What::Hear);
                let raw = name.ends_with("text");
                return Some(Value::path(if raw { "raw" } else { "message" }));
            }
            _ => return None,
        };
        self.noted(expr, local, what)
    }

    /// A `ConnectionManager`, as everybody writes one.
    pub(super) fn of_manager(
        &mut self,
        expr: &Expr,
        call: &Call,
        name: &str,
        local: &mut Local,
    ) -> Option<Value> {
        let mut values: Vec<_> = Vec::new();
        for argument in &call.arguments {
            values.push(self.value(argument, local));
        }
        // The socket itself: with a broadcast it is left out, else it is the one that is told.
        let given = values.iter().any(|value| value.is("socket"));
        values.retain(|value| !value.is("socket"));
        let others = given
            || call
                .named
                .iter()
                .any(|(name, _)| name.starts_with("exclude"));
        for (name, argument) in &call.named {
            if !name.starts_with("exclude") {
                values.push(self.value(argument, local));
            }
        }
        // The channel is a text, or what the URL says.
        let channel = values.iter().find(|value| match value {
            Value::Json(Json::String(_)) | Value::Text(_) => true,
            Value::Path(path) => path.starts_with("path."),
            _ => false,
        });
        let group = channel
            .cloned()
            .unwrap_or_else(|| Value::Unknown(String::new()));
        let what = if name.starts_with("disconnect") || name.starts_with("leave") {
            What::Leave
        } else if ["connect", "join", "subscribe"]
            .iter()
            .any(|verb| name.starts_with(verb))
        {
            self.note(expr, local.file, What::Accept);
            What::Join(group)
        } else if name.starts_with("send") && given {
            match values.into_iter().next_back()? {
                message @ Value::Dict(_) => What::Send(message, Spelling::Compact),
                text => sent(text),
            }
        } else if name.contains("broadcast") || name.starts_with("send") {
            if group.unknown() == Some("") {
                let quote = self.quote(expr, local.file);
                return self.noted(expr, local, What::Work(quote));
            }
            let message = values.iter().find(|value| matches!(value, Value::Dict(_)));
            let message = message.or(values.last())?.clone();
            What::Tell {
                group,
                message,
                others,
            }
        } else {
            return None;
        };
        self.noted(expr, local, what)
    }

    /// What has been understood, in the place of a value.
    fn noted(&mut self, expr: &Expr, local: &Local, what: What) -> Option<Value> {
        self.note(expr, local.file, what);
        Some(Value::Json(Json::Null))
    }

    fn close(&mut self, call: &Call, local: &mut Local) -> What {
        let code = self.argument(call, "code", 0, local);
        let code = match code {
            Some(Value::Json(Json::Number(code))) => {
                code.as_u64().and_then(|code| u16::try_from(code).ok())
            }
            Some(Value::Unknown(text)) if text.ends_with("WS_1008_POLICY_VIOLATION") => Some(1008),
            _ => None,
        };
        let reason = match self.argument(call, "reason", 1, local) {
            Some(Value::Json(Json::String(reason))) => reason,
            _ => String::new(),
        };
        What::Close { code, reason }
    }

    /// `raise`: a refusal, if it is one of the framework's.
    pub(super) fn raised(&mut self, what: Option<&Expr>, local: &mut Local) {
        let Some(what) = what else { return };
        let call = what.call();
        let name = call.map_or_else(|| what.dotted(), |call| call.callee.dotted());
        let name = name.unwrap_or_default();
        if name.ends_with("DenyConnection") || name.ends_with("WebSocketException") {
            let close = match call {
                Some(call) => self.close(call, local),
                None => What::Close {
                    code: None,
                    reason: String::new(),
                },
            };
            self.note(what, local.file, close);
        }
    }
}

fn sent(text: Value) -> What {
    match text {
        Value::Dumps(value) => What::Send(*value, Spelling::Python),
        text => What::Send(text, Spelling::Text),
    }
}
