//! Text becomes the raw file, whatever is wrong with it. Serde stops at the first
//! problem, so what it stumbled over is taken out of the parsed tables, and it
//! reads again: in the end every problem is known and the rest can be checked.

use std::ops::Range;

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{raw, report::Problem, words};

/// More than anybody will read.
const MOST_PROBLEMS: usize = 100;

/// Reads what can be read.
pub(super) fn read(text: &str) -> (raw::File, Vec<Problem>) {
    let (mut tables, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What a broken line was meant to be is not known: the rest is not judged.
        let problems = errors.iter().take(MOST_PROBLEMS).map(words::from_toml);
        return (raw::File::default(), problems.collect());
    }
    let mut problems = Vec::new();
    while problems.len() < MOST_PROBLEMS {
        let error = match raw::File::deserialize(toml::Deserializer::from(tables.clone())) {
            Ok(file) => return (file, problems),
            Err(error) => error,
        };
        problems.push(words::from_toml(&error));
        let taken = error
            .span()
            .is_some_and(|span| take_out(&mut tables, &span));
        if !taken {
            break;
        }
    }
    (raw::File::default(), problems)
}

fn take_out(tables: &mut Spanned<DeTable<'_>>, span: &Range<usize>) -> bool {
    let is = |other: Range<usize>| other == *span;
    let around = |other: Range<usize>| other.start <= span.start && span.end <= other.end;
    take_from_table(tables.get_mut(), &is) || take_from_table(tables.get_mut(), &around)
}

/// Takes out the innermost entry whose key or value fits.
fn take_from_table(table: &mut DeTable<'_>, fits: &impl Fn(Range<usize>) -> bool) -> bool {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        if take_from_value(value, fits) {
            return true;
        }
        if fits(key.span()) || fits(value.span()) {
            found = Some(key.clone());
            break;
        }
    }
    found.is_some_and(|key| table.remove(key.get_ref().as_ref()).is_some())
}

fn take_from_value(value: &mut Spanned<DeValue<'_>>, fits: &impl Fn(Range<usize>) -> bool) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => take_from_table(table, fits),
        DeValue::Array(items) => {
            if items.iter_mut().any(|item| take_from_value(item, fits)) {
                return true;
            }
            let Some(at) = items.iter().position(|item| fits(item.span())) else {
                return false;
            };
            let kept = items.iter().enumerate().filter(|(index, _)| *index != at);
            *items = kept.map(|(_, item)| item.clone()).collect();
            true
        }
        _ => false,
    }
}
