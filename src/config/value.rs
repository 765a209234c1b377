//! Values that are understood by themselves: times, sizes, counts, short forms
//! and tables in order; `named` has those with a meaning of their own. What is wrong with one is said while it is read, so its place in the text is
//! known. An error is one line of message and, after a newline, the way out.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, IntoDeserializer,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use toml::Spanned;

/// Longer than any time in a config; sums of times stay far from overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A value that may be absent and whose place is needed.
pub(super) type Maybe<T> = Option<Spanned<T>>;

/// Reads a value from one of TOML's own types. The error is made inside the
/// visitor: only there does `toml` know the place of an item of a list.
macro_rules! read {
    ($expecting:literal, $from:ty, $visit:ident($seen:ty) => $($name:ident)*) => {
        $(
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    struct Visitor;
                    impl de::Visitor<'_> for Visitor {
                        type Value = $name;
                        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                            f.write_str($expecting)
                        }
                        fn $visit<E: de::Error>(self, seen: $seen) -> Result<$name, E> {
                            $name::try_from(<$from>::from(seen)).map_err(E::custom)
                        }
                    }
                    from.deserialize_any(Visitor)
                }
            }
        )*
    };
}

macro_rules! read_scalar {
    ($($name:ident)*) => {
        $(
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    Self::try_from(Scalar::deserialize(from)?).map_err(de::Error::custom)
                }
            }
        )*
    };
}

pub(super) use {read, read_scalar};

read!("a text in quotes", String, visit_str(&str) =>
    Time Wait);
read!("a whole number", i64, visit_i64(i64) => Count);

/// A span of time, possibly none: `"10s"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a time\nwrite a number and a unit: 500ms, 10s, 5m, 1h, 7d");
        let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            _ => return Err(wrong()),
        };
        let time = Duration::from_millis(number.saturating_mul(millis));
        match time > LONGEST {
            true => Err(format!(
                "`{text}` is more than a year\nwrite a shorter time"
            )),
            false => Ok(Self(time)),
        }
    }
}

/// A span of time that is more than none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait(pub Duration);

impl TryFrom<String> for Wait {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = Time::try_from(text)?.0;
        match time.is_zero() {
            true => Err("this time must be more than none\nwrite at least 1ms".into()),
            false => Ok(Self(time)),
        }
    }
}

/// A whole number or a text.
#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Int(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Int(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.into()))
            }
        }
        from.deserialize_any(Either)
    }
}

read_scalar!(Size);

/// Bytes: `65536`, `"64KiB"`, `"1MiB"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size(pub usize);

impl TryFrom<Scalar> for Size {
    type Error = String;

    fn try_from(value: Scalar) -> Result<Self, String> {
        const HELP: &str = "write bytes, or a number and a unit: 64KiB, 1MiB, 2GiB";
        let (shown, bytes) = match value {
            Scalar::Int(number) => (number.to_string(), usize::try_from(number).ok()),
            Scalar::Text(text) => {
                let bytes = size(&text);
                (text, bytes)
            }
        };
        match bytes {
            Some(0) => Err(format!("a size of nothing lets nothing through\n{HELP}")),
            Some(bytes) => Ok(Self(bytes)),
            None => Err(format!("`{shown}` is not a size\n{HELP}")),
        }
    }
}

fn size(text: &str) -> Option<usize> {
    let at = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(at.unwrap_or(text.len()));
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// How many, at least one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub u32);

impl TryFrom<i64> for Count {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        match u32::try_from(number) {
            Ok(number @ 1..) => Ok(Self(number)),
            _ => Err(format!(
                "`{number}` is not a count\nwrite a number from 1 to {}",
                u32::MAX
            )),
        }
    }
}

impl Count {
    /// As a length.
    pub(super) fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A value that has a short form besides its full one.
#[derive(Clone, Debug)]
pub(super) enum Short<T> {
    Word(String),
    Switch(bool),
    Full(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Either<T> {
            type Value = Short<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or the full form")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Short::Word(text.into()))
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
                Ok(Short::Switch(on))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Short::Full)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
                T::deserialize(SeqAccessDeserializer::new(items)).map(Short::Full)
            }
        }
        from.deserialize_any(Either(PhantomData))
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(super) struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrList<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for OneOrList<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of them")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer()).map(|one| Many(vec![one]))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(|one| Many(vec![one]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(Many)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| Many(vec![one]))
            }
        }
        from.deserialize_any(OneOrList(PhantomData))
    }
}

/// A table whose keys are the user's own names, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Pairs<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for InOrder<T> {
            type Value = Pairs<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(InOrder(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_with_their_units() {
        let time = |text: &str| Time::try_from(text.to_owned()).map(|time| time.0.as_millis());
        assert_eq!(time("0s"), Ok(0));
        assert_eq!(time("500ms"), Ok(500));
        assert_eq!(time("1h"), Ok(3_600_000));
        assert_eq!(time("7d"), Ok(604_800_000));
        for text in [
            "",
            "s",
            "10",
            "-1s",
            "1.5s",
            "1 s",
            "10sec",
            "400d",
            "99999999999999999999s",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
        assert!(time("18446744073709551615d").is_err());
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("7"), Some(7));
        for text in ["", "KiB", "1kb", "1.5MiB", "-1", "99999999999999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
