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

/// What could be read.
pub(super) struct Reading {
    pub(super) file: raw::File,
    pub(super) problems: Vec<Problem>,
    /// The tables in which something is missing only because it was taken out.
    pub(super) hurt: Vec<Range<usize>>,
}

/// Reads what can be read.
pub(super) fn read(text: &str) -> Reading {
    let (mut tables, errors) = DeTable::parse_recoverable(text);
    // What a broken line was meant to be is not known: then the rest is not judged.
    let errors = errors.iter().take(MOST_PROBLEMS);
    let errors = errors.map(|error| words::from_toml(error, text));
    let mut reading = Reading {
        file: raw::File::default(),
        problems: errors.collect(),
        hurt: Vec::new(),
    };
    if !reading.problems.is_empty() {
        return reading;
    }
    while reading.problems.len() < MOST_PROBLEMS {
        let error = match raw::File::deserialize(toml::Deserializer::from(tables.clone())) {
            Ok(file) => {
                reading.file = file;
                break;
            }
            Err(error) => error,
        };
        reading.problems.push(words::from_toml(&error, text));
        match error.span().and_then(|span| take_out(&mut tables, &span)) {
            Some(table) => reading.hurt.push(table),
            None => break,
        }
    }
    reading
}

/// Takes out what stands at a place; says from which table.
fn take_out(tables: &mut Spanned<DeTable<'_>>, span: &Range<usize>) -> Option<Range<usize>> {
    let is = |other: Range<usize>| other == *span;
    let around = |other: Range<usize>| other.start <= span.start && span.end <= other.end;
    let root = tables.span();
    take_from_table(tables.get_mut(), &root, &is)
        .or_else(|| take_from_table(tables.get_mut(), &root, &around))
}

/// Takes out the innermost entry whose key or value fits.
fn take_from_table(
    table: &mut DeTable<'_>,
    span: &Range<usize>,
    fits: &impl Fn(Range<usize>) -> bool,
) -> Option<Range<usize>> {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        if let Some(taken) = take_from_value(value, span, fits) {
            return Some(taken);
        }
        if fits(key.span()) || fits(value.span()) {
            found = Some(key.clone());
            break;
        }
    }
    table
        .remove(found?.get_ref().as_ref())
        .map(|_| span.clone())
}

fn take_from_value(
    value: &mut Spanned<DeValue<'_>>,
    parent: &Range<usize>,
    fits: &impl Fn(Range<usize>) -> bool,
) -> Option<Range<usize>> {
    let span = value.span();
    match value.get_mut() {
        DeValue::Table(table) => take_from_table(table, &span, fits),
        DeValue::Array(items) => {
            let mut inside = items.iter_mut();
            if let Some(taken) = inside.find_map(|item| take_from_value(item, parent, fits)) {
                return Some(taken);
            }
            let at = items.iter().position(|item| fits(item.span()))?;
            let kept = items.iter().enumerate().filter(|(index, _)| *index != at);
            *items = kept.map(|(_, item)| item.clone()).collect();
            Some(parent.clone())
        }
        _ => None,
    }
}
