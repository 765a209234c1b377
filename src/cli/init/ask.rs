//! Questions on the terminal. Each has a default, an answer that cannot be used is
//! asked for again, and where nobody is there the defaults are taken.

use std::{
    fmt::Display,
    io::{BufRead, Read},
    str::FromStr,
};

use clap::ValueEnum;

use crate::cli::output::{Failure, say};

/// Longer answers are no answers.
const LONGEST: u64 = 1_000;
/// Who answers wrongly so often is no person.
const MOST_TRIES: usize = 5;

/// Who is asked.
pub(super) enum Ask<'a> {
    /// Nobody: defaults are taken.
    Silent,
    /// Whoever types here.
    Person(&'a mut dyn BufRead),
}

impl Ask<'_> {
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Silent)
    }

    /// A value with a default.
    pub(super) fn value<T>(&mut self, question: &str, usual: &str) -> Result<T, Failure>
    where
        T: FromStr,
        T::Err: Display,
    {
        for _ in 0..MOST_TRIES {
            let answer = self.line(&format!("{question} [{usual}]"))?;
            let answer = answer.filter(|answer| !answer.is_empty());
            match answer.as_deref().unwrap_or(usual).parse() {
                Ok(value) => return Ok(value),
                Err(problem) if self.is_silent() => {
                    return Err(Failure::new(problem, "give it as a flag"));
                }
                Err(problem) => say(&format!("  {problem}: write it as in {usual}")),
            }
        }
        Err(Failure::new(
            "no answer could be used",
            "give it as a flag: outrigger init --help",
        ))
    }

    /// One of a few.
    pub(super) fn choice<T: ValueEnum>(&mut self, question: &str, usual: &T) -> Result<T, Failure> {
        let name = |one: &T| {
            one.to_possible_value()
                .map(|value| value.get_name().to_owned())
        };
        let all: Vec<_> = T::value_variants().iter().filter_map(name).collect();
        let question = format!("{question} ({})", all.join(", "));
        let usual = name(usual).unwrap_or_default();
        let chosen: Chosen<T> = self.value(&question, &usual)?;
        Ok(chosen.0)
    }

    /// What is typed; nothing where nobody is asked.
    fn line(&mut self, question: &str) -> Result<Option<String>, Failure> {
        let Self::Person(input) = self else {
            return Ok(None);
        };
        say(question);
        let mut line = Vec::new();
        let read = input.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        let failed =
            |why: String| Failure::new(why, "give the answers as flags: outrigger init --help");
        match read {
            Ok(0) => Err(failed("the input ended before all was answered".into())),
            Ok(_) => Ok(Some(String::from_utf8_lossy(&line).trim().to_owned())),
            Err(error) => Err(failed(format!("the answer cannot be read: {error}"))),
        }
    }
}

/// A value out of a list of names.
struct Chosen<T>(T);

impl<T: ValueEnum> FromStr for Chosen<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        T::from_str(text, true)
            .map(Self)
            .map_err(|_| format!("`{text}` is none of them"))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn an_empty_answer_is_the_default_and_a_wrong_one_is_asked_again() {
        let mut typed = "\nnonsense\n127.0.0.1:9\n".as_bytes();
        let mut ask = Ask::Person(&mut typed);
        let first: SocketAddr = ask.value("Where?", "127.0.0.1:8080").unwrap();
        assert_eq!(first.port(), 8080);
        let second: SocketAddr = ask.value("Where?", "127.0.0.1:8080").unwrap();
        assert_eq!(second.port(), 9);
    }

    #[test]
    fn an_input_that_ends_is_no_answer() {
        let mut typed = "x\n".as_bytes();
        let failed = Ask::Person(&mut typed)
            .value::<u16>("How many?", "7")
            .unwrap_err();
        assert!(failed.to_string().contains("the input ended"), "{failed}");
        assert_eq!(Ask::Silent.value::<u16>("How many?", "7").unwrap(), 7);
    }
}
