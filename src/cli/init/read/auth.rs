//! How the app knows its users: where it looks for tokens, and by which rules it
//! believes them.

use super::{
    super::{
        found::{Auth, Jwt, Kind},
        project::Project,
        python::{Expr, ExprKind, Stmt},
    },
    settings::{entry, setting, variable},
};

/// What people call a token in a query or a cookie.
const NAMES: [&str; 6] = [
    "token",
    "access_token",
    "jwt",
    "access",
    "auth_token",
    "auth",
];

pub(super) fn auth(project: &Project, kind: Kind) -> Auth {
    let jwt = match kind {
        Kind::Django => simple_jwt(project),
        Kind::Fastapi => plain_jwt(project),
    };
    Auth {
        jwt,
        token: places(project),
    }
}

/// SimpleJWT with its defaults, and what the settings say otherwise.
fn simple_jwt(project: &Project) -> Option<Jwt> {
    let used = |name: &str| {
        project
            .modules
            .iter()
            .any(|module| module.text.contains(name))
    };
    let rules = setting(project, "SIMPLE_JWT").map(|(_, value)| value);
    if rules.is_none() && !used("rest_framework_simplejwt") {
        return None;
    }
    let rule = |name: &str| rules.and_then(|rules| entry(rules, name));
    let text = |name: &str| rule(name).and_then(Expr::plain).map(str::to_owned);
    let key = rule("SIGNING_KEY").and_then(|key| variable(key, 6));
    let secret = setting(project, "SECRET_KEY").and_then(|(_, value)| variable(value, 6));
    let kind = text("TOKEN_TYPE_CLAIM").unwrap_or_else(|| "token_type".into());
    Some(Jwt {
        algorithm: text("ALGORITHM").unwrap_or_else(|| "HS256".into()),
        jwks_url: text("JWK_URL").filter(|url| !url.contains(['@', '?'])),
        secret_env: key.or(secret).unwrap_or_else(|| "DJANGO_SECRET_KEY".into()),
        user_claim: text("USER_ID_CLAIM").unwrap_or_else(|| "user_id".into()),
        require: Some((kind, "access".into())),
        issuer: text("ISSUER"),
        audience: text("AUDIENCE"),
    })
}

/// `jwt.decode(token, SECRET, algorithms=["HS256"])` somewhere, and what is read
/// from its answer.
fn plain_jwt(project: &Project) -> Option<Jwt> {
    let decodes = |module: &&super::super::python::Module| module.text.contains("jwt.decode(");
    let module = project.modules.iter().find(decodes)?;
    let algorithms = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA",
    ];
    let named = |name: &&&str| {
        project.modules.iter().any(|module| {
            module.text.contains(&format!("\"{name}\""))
                || module.text.contains(&format!("'{name}'"))
        })
    };
    let algorithm = algorithms.iter().find(named).unwrap_or(&"HS256");
    let has = |name: &str| {
        module.text.contains(&format!("\"{name}\"")) || module.text.contains(&format!("'{name}'"))
    };
    let claim = ["user_id", "sub", "id", "uid"]
        .into_iter()
        .find(|name| has(name));
    let kind = ["token_type", "type"]
        .into_iter()
        .find(|name| has(name) && has("access"));
    Some(Jwt {
        algorithm: (*algorithm).to_owned(),
        jwks_url: None,
        secret_env: secret_variable(project).unwrap_or_else(|| "JWT_SECRET".into()),
        user_claim: claim.unwrap_or("sub").to_owned(),
        require: kind.map(|kind| (kind.to_owned(), "access".to_owned())),
        issuer: None,
        audience: None,
    })
}

/// The variable behind `SECRET`, `SECRET_KEY`, `JWT_SECRET`.
fn secret_variable(project: &Project) -> Option<String> {
    for file in 0..project.modules.len() {
        for stmt in project.statements(file) {
            let Stmt::Assign(to, value) = stmt else {
                continue;
            };
            let name = to.dotted().unwrap_or_default().to_ascii_uppercase();
            if !name.contains("SECRET") || name.contains("WEBHOOK") || name.contains("OUTRIGGER") {
                continue;
            }
            if let Some(variable) = variable(value, 6) {
                return Some(variable);
            }
        }
    }
    None
}

/// Where tokens are looked for: names in quotes in files that speak of queries,
/// cookies or headers.
fn places(project: &Project) -> Vec<String> {
    let mut places = Vec::new();
    for (word, place) in [
        ("query_string", "query"),
        ("query_params", "query"),
        ("cookies", "cookie"),
    ] {
        for module in project
            .modules
            .iter()
            .filter(|module| module.text.contains(word))
        {
            for name in NAMES {
                let quoted = [format!("\"{name}\""), format!("'{name}'")];
                if quoted.iter().any(|quoted| module.text.contains(quoted)) {
                    places.push(format!("{place}:{name}"));
                }
            }
        }
    }
    for file in 0..project.modules.len() {
        for stmt in project.statements(file) {
            let Stmt::Function(function) = stmt else {
                continue;
            };
            let socket = function.decorators.iter().any(is_socket);
            for param in function.params.iter().filter(|_| socket) {
                if NAMES.contains(&param.name.as_str()) {
                    places.push(format!("query:{}", param.name));
                }
            }
        }
    }
    let mut distinct = Vec::new();
    for place in places {
        if !distinct.contains(&place) {
            distinct.push(place);
        }
    }
    distinct
}

/// `@app.websocket("/path")`
pub(super) fn is_socket(decorator: &Expr) -> bool {
    let name = decorator.call().map(|call| &call.callee.kind);
    matches!(name, Some(ExprKind::Attribute(_, name)) if name == "websocket" || name == "websocket_route")
}
