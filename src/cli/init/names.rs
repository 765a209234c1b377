//! What a name means in a project: a class, a function, a value, another file.

use std::rc::Rc;

use super::{
    project::Project,
    python::{Class, Expr, Function, Import, Stmt},
};

/// How far imports and base classes are followed: some go in circles.
const FARTHEST: usize = 8;
/// Some hundred for each endpoint are usual.
const MOST_LOOKUPS: usize = 100_000;

/// What a name stands for, with the number of its file.
#[derive(Clone, Debug)]
pub(super) enum Symbol<'p> {
    Class(usize, Rc<Class>),
    Function(usize, Rc<Function>),
    /// All that is assigned or added to it, in order.
    Values(usize, Vec<&'p Expr>),
}

/// A class with the classes that it inherits from, nearest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Lineage {
    pub(super) classes: Vec<(usize, Rc<Class>)>,
    /// Bases that are not in the project, by their names.
    pub(super) foreign: Vec<String>,
}

impl Lineage {
    /// A method, from this place in the line on; with its place and file.
    pub(super) fn method(&self, name: &str, from: usize) -> Option<(usize, usize, Rc<Function>)> {
        let mut classes = self.classes.iter().enumerate().skip(from);
        classes.find_map(|(place, (file, class))| {
            let found = methods(class).rfind(|method| method.name == name)?;
            Some((place, *file, found.clone()))
        })
    }

    /// What a field is set to in the body of the class.
    pub(super) fn field(&self, name: &str) -> Option<(usize, &Expr)> {
        self.classes.iter().find_map(|(file, class)| {
            let mut body = class.body.iter().rev();
            body.find_map(|stmt| match stmt {
                Stmt::Assign(to, value) if to.dotted().as_deref() == Some(name) => {
                    Some((*file, value))
                }
                _ => None,
            })
        })
    }
}

/// The methods in the body of a class.
pub(super) fn methods(class: &Class) -> impl DoubleEndedIterator<Item = &Rc<Function>> {
    class.body.iter().filter_map(|stmt| match stmt {
        Stmt::Function(function) => Some(function),
        _ => None,
    })
}

impl Project {
    /// What a dotted name means in a file.
    pub(super) fn symbol(&self, file: usize, dotted: &str) -> Option<Symbol<'_>> {
        self.symbol_within(file, dotted, FARTHEST)
    }

    fn symbol_within(&self, file: usize, dotted: &str, far: usize) -> Option<Symbol<'_>> {
        self.lookups.set(self.lookups.get() + 1);
        if far == 0 || self.lookups.get() > MOST_LOOKUPS {
            return None;
        }
        let (first, rest) = match dotted.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (dotted, None),
        };
        match (self.own(file, first), rest) {
            (Some(found), None) => return Some(found),
            (Some(_), Some(_)) => return None,
            (None, _) => {}
        }
        let imports = self.statements(file).filter_map(|stmt| match stmt {
            Stmt::Import(imports) => Some(imports),
            _ => None,
        });
        for import in imports.flatten() {
            if import.name != first && import.name != "*" && !within(dotted, import) {
                continue;
            }
            let found = self.imported(file, import, dotted, far);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn imported(
        &self,
        file: usize,
        import: &Import,
        dotted: &str,
        far: usize,
    ) -> Option<Symbol<'_>> {
        let rest = dotted.split_once('.').map(|(_, rest)| rest);
        let Some(original) = &import.original else {
            // `import a.b`: the name is a.b.c.
            let target = self.file(file, &import.module)?;
            let inner = match import.name == import.module {
                true => dotted.strip_prefix(&import.module)?.trim_start_matches('.'),
                false => rest.unwrap_or_default(),
            };
            return match inner {
                "" => None,
                inner => self.symbol_within(target, inner, far - 1),
            };
        };
        if original == "*" {
            let target = self.file(file, &import.module)?;
            return self.symbol_within(target, dotted, far - 1);
        }
        let joint = if import.module.ends_with('.') {
            ""
        } else {
            "."
        };
        if let Some(target) = self.file(file, &format!("{}{joint}{original}", import.module)) {
            return self.symbol_within(target, rest?, far - 1);
        }
        let target = self.file(file, &import.module)?;
        self.symbol_within(target, original, far - 1)
            .filter(|_| rest.is_none())
    }

    /// What a file itself defines under a name.
    fn own(&self, file: usize, name: &str) -> Option<Symbol<'_>> {
        let mut values = Vec::new();
        let mut found = None;
        for stmt in self.statements(file) {
            match stmt {
                Stmt::Class(class) if class.name == name => {
                    found = Some(Symbol::Class(file, class.clone()));
                }
                Stmt::Function(function) if function.name == name => {
                    found = Some(Symbol::Function(file, function.clone()));
                }
                Stmt::Assign(to, value) | Stmt::Extend(to, value)
                    if to.dotted().as_deref() == Some(name) =>
                {
                    values.push(value);
                }
                _ => {}
            }
        }
        found.or_else(|| (!values.is_empty()).then_some(Symbol::Values(file, values)))
    }

    /// The statements at the top of a file, those under `if` and `try` too.
    pub(super) fn statements(&self, file: usize) -> impl Iterator<Item = &Stmt> {
        let mut all = Vec::new();
        if let Some(module) = self.modules.get(file) {
            top(&module.body, &mut all);
        }
        all.into_iter()
    }

    /// The file that an import names.
    pub(super) fn file(&self, from: usize, dotted: &str) -> Option<usize> {
        let path = dotted.trim_start_matches('.');
        let up = dotted.len() - path.len();
        let path = path.replace('.', "/");
        let wanted = [format!("{path}.py"), format!("{path}/__init__.py")];
        if up > 0 {
            let own = &self.modules.get(from)?.path;
            let mut folders: Vec<_> = own.split('/').collect();
            folders.truncate(folders.len().checked_sub(up)?);
            let joined = wanted.map(|wanted| {
                let mut parts = folders.clone();
                parts.push(wanted.trim_start_matches('/'));
                parts.join("/")
            });
            return self
                .modules
                .iter()
                .position(|module| joined.contains(&module.path));
        }
        let fits = |path: &str| {
            wanted.iter().any(|wanted| {
                path.strip_suffix(wanted.as_str())
                    .is_some_and(|before| before.is_empty() || before.ends_with('/'))
            })
        };
        let files = self.modules.iter().enumerate();
        let files = files.filter(|(_, module)| fits(&module.path));
        files
            .min_by_key(|(_, module)| module.path.len())
            .map(|(file, _)| file)
    }

    /// A class and its bases, depth first, as Python looks for methods in all but
    /// crossed hierarchies.
    pub(super) fn lineage(&self, file: usize, class: &Rc<Class>) -> Lineage {
        let mut lineage = Lineage::default();
        self.ancestors(file, class, FARTHEST, &mut lineage);
        lineage
    }

    fn ancestors(&self, file: usize, class: &Rc<Class>, far: usize, lineage: &mut Lineage) {
        // A base that several share comes after all of them.
        lineage
            .classes
            .retain(|(_, known)| !Rc::ptr_eq(known, class));
        lineage.classes.push((file, class.clone()));
        for base in &class.bases {
            let Some(dotted) = base.dotted() else {
                continue;
            };
            match self.symbol(file, &dotted) {
                Some(Symbol::Class(file, base)) if far > 0 => {
                    self.ancestors(file, &base, far - 1, lineage);
                }
                _ => lineage.foreign.push(dotted),
            }
        }
    }
}

/// `import a.b`, and the name begins with `a.b.`.
fn within(dotted: &str, import: &Import) -> bool {
    let rest = dotted.strip_prefix(&import.module);
    import.original.is_none() && rest.is_some_and(|rest| rest.starts_with('.'))
}

fn top<'p>(body: &'p [Stmt], all: &mut Vec<&'p Stmt>) {
    for stmt in body {
        all.push(stmt);
        match stmt {
            Stmt::If(branches) => {
                for (_, body) in branches {
                    top(body, all);
                }
            }
            Stmt::Try(attempt) => {
                top(&attempt.body, all);
                for (_, body) in &attempt.handlers {
                    top(body, all);
                }
                top(&attempt.rest, all);
            }
            Stmt::Block(body) => top(body, all),
            _ => {}
        }
    }
}
