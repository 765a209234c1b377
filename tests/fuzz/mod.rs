//! The properties of the fuzz targets, shortly: their seeds, changed in the same ways
//! each time. `tests/fuzz/run` looks longer and further.

mod properties;

use std::fs;

/// Takes about a second with the slowest target.
const ROUNDS: usize = 4_000;
/// Where the numbers begin.
const FIRST: u64 = 420_822_425;

/// Numbers that look random; the same from the same beginning.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }
}

/// What is more likely to go wrong than other bytes.
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"\\",
    b"\\ud800",
    b"null",
    b"1e999",
    b"-0",
    b"\n",
    b"\r\n",
    b"data",
    b"{data}",
    b" | ",
    b"default ",
    b" == ",
    b"\"...\":",
    b"?\"",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"events",
    b"id",
    b"type",
];

/// Changes a few places: a word put in, a stretch taken out, doubled, or taken from
/// another seed.
fn changed(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(4) {
        let from = numbers.below(bytes.len() + 1);
        let to = (from + numbers.below(9)).min(bytes.len());
        let put: Vec<u8> = match numbers.below(4) {
            0 => WORDS[numbers.below(WORDS.len())].to_vec(),
            1 => Vec::new(),
            2 => bytes[from..to].repeat(2),
            _ => {
                let other = &seeds[numbers.below(seeds.len())];
                other[numbers.below(other.len() + 1)..].to_vec()
            }
        };
        bytes.splice(from..to, put);
    }
    bytes
}

fn holds(target: &str, property: fn(&[u8])) {
    let folder = format!("tests/fuzz/seeds/{target}");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    // The same run everywhere, whatever the folder's own order.
    files.sort();
    let seeds: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 3);
    seeds.iter().for_each(|seed| property(seed));
    let mut numbers = Numbers(FIRST);
    for round in 0..ROUNDS {
        let bytes = changed(&seeds, &mut numbers);
        let found = std::panic::catch_unwind(|| property(&bytes));
        assert!(
            found.is_ok(),
            "{target}, round {round}: {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn any_template_is_an_error_or_valid_json() {
    holds("templates", properties::templates);
}

#[test]
fn any_message_fits_an_action_or_none() {
    holds("actions", properties::actions);
}

#[test]
fn any_stream_is_read_the_same_in_any_pieces() {
    holds("stream", properties::stream);
}

#[test]
fn any_body_is_an_error_or_events_that_can_be_kept() {
    holds("webhook", properties::webhook);
}

#[test]
fn any_message_of_the_layer_is_an_error_or_valid_json() {
    holds("layer", properties::layer);
}

#[test]
fn any_exchange_is_skipped_or_events_that_can_be_kept() {
    holds("exchange", properties::exchange);
}
