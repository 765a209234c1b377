//! A room imports only rooms on lower floors. `docs/architecture.md` has the table.

use std::{fs, path::Path};

const DOC: &str = include_str!("../docs/architecture.md");

#[test]
fn every_room_stands_on_one_floor_of_the_table() {
    let floors: Vec<_> = floors().collect();
    let numbers: Vec<_> = floors.iter().map(|(number, _)| *number).collect();
    let expected: Vec<_> = (0..floors.len()).rev().collect();
    assert_eq!(numbers, expected);
    let mut rooms: Vec<_> = floors.into_iter().flat_map(|(_, rooms)| rooms).collect();
    rooms.sort_unstable();
    let stems = fs::read_dir("src").unwrap().map(|entry| {
        let path = entry.unwrap().path();
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    });
    let mut expected: Vec<_> = stems
        .filter(|room| room != "lib" && room != "main")
        .collect();
    expected.sort_unstable();
    assert_eq!(rooms, expected);
}

#[test]
fn import_lists_are_read_to_their_top_names() {
    assert_eq!(rooms("event::{A, B};"), ["event"]);
    assert_eq!(
        rooms("{\n    a::{X, Y},\n    b_c::Z,\n    d,\n};\nuse {e};"),
        ["a", "b_c", "d"]
    );
}

#[test]
fn no_arrow_points_upwards() {
    let mut faults = Vec::new();
    for entry in fs::read_dir("src").unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap();
        if room != "lib" && room != "main" {
            check(room, &path, &mut faults);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn check(room: &str, path: &Path, faults: &mut Vec<String>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries.for_each(|entry| check(room, &entry.unwrap().path(), faults));
    }
    let text = fs::read_to_string(path).unwrap();
    for (at, _) in text.match_indices("crate::") {
        let number = text[..at].matches('\n').count();
        let comment = text
            .lines()
            .nth(number)
            .unwrap()
            .trim_start()
            .starts_with("//");
        for import in rooms(&text[at + "crate::".len()..]) {
            if !comment && import != room && floor(&import) >= floor(room) {
                faults.push(format!(
                    "{}:{}: {room} -> {import}",
                    path.display(),
                    number + 1
                ));
            }
        }
    }
}

/// The rooms named by what follows `crate::`: one, or those of a list.
fn rooms(text: &str) -> Vec<String> {
    let name = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(list) = text.strip_prefix('{') else {
        return vec![name(text)];
    };
    let mut depth = 1;
    let top: String = list
        .chars()
        .take_while(|c| {
            depth += i32::from(*c == '{') - i32::from(*c == '}');
            depth > 0
        })
        .scan(0, |inner, c| {
            *inner += i32::from(c == '{') - i32::from(c == '}');
            Some(if *inner > 0 { ' ' } else { c })
        })
        .collect();
    top.split(',')
        .map(|part| name(part.trim()))
        .filter(|name: &String| !name.is_empty())
        .collect()
}

/// The floors of the table, highest first: number and rooms.
fn floors() -> impl Iterator<Item = (usize, Vec<&'static str>)> {
    DOC.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let number = cells.next()?.parse().ok()?;
        let rooms = cells.next()?.split(", ").map(|room| room.trim_matches('`'));
        Some((number, rooms.collect()))
    })
}

fn floor(room: &str) -> usize {
    let of = floors().find(|(_, rooms)| rooms.contains(&room));
    let (number, _) = of.unwrap_or_else(|| {
        panic!("the room `{room}` stands on no floor: add it to docs/architecture.md")
    });
    number
}
