//! Reads a project: which framework, which sockets, which settings.

mod auth;
mod django;
mod fastapi;
mod paths;
mod routing;
mod settings;

use super::{
    found::{Found, Kind},
    project::Project,
};

/// What is in the project; the kind is found out unless it is named.
pub(super) fn read(project: &Project, kind: Option<Kind>) -> Found {
    let kind = kind.unwrap_or_else(|| guess(project));
    let mut found = Found {
        kind,
        endpoints: Vec::new(),
        auth: auth::auth(project, kind),
        layer: None,
        notes: Vec::new(),
    };
    match kind {
        Kind::Django => django::read(project, &mut found),
        Kind::Fastapi => fastapi::read(project, &mut found),
    }
    for module in &project.modules {
        if let Some(line) = module.broken {
            let place = super::follow::Place {
                path: module.path.clone(),
                line,
            };
            let text = "this is not understood as Python; what is around it may be missing here";
            found.notes.push(super::found::Note::new(&place, text));
        }
    }
    found
}

/// FastAPI says so in an import; everything else is taken for Django.
fn guess(project: &Project) -> Kind {
    let mentions = |words: &[&str]| {
        let has = |text: &str| words.iter().any(|word| text.contains(word));
        project
            .modules
            .iter()
            .filter(|module| has(&module.text))
            .count()
    };
    let django = mentions(&["from channels", "import channels", "django."]);
    let fastapi = mentions(&["from fastapi", "import fastapi", "from starlette"]);
    match fastapi > django {
        true => Kind::Fastapi,
        false => Kind::Django,
    }
}
