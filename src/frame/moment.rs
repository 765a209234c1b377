//! A moment as apps write it: ISO 8601 in UTC, or seconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 3600;

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// `2026-11-21T10:47:31.123456+00:00`: Python's `isoformat()`.
    Offset,
    /// The same with `Z`: Django REST framework, JavaScript.
    Zulu,
    /// The same without a zone: Python's `datetime.utcnow()`.
    Naive,
    /// Whole seconds since 1970.
    Unix,
}

impl Moment {
    /// The form that `{now}`, `{now.z}`, `{now.naive}` or `{now.unix}` asks for.
    pub(super) fn named(path: &[Box<str>]) -> Option<Self> {
        match path {
            [] => Some(Self::Offset),
            [form] => match &**form {
                "z" => Some(Self::Zulu),
                "naive" => Some(Self::Naive),
                "unix" => Some(Self::Unix),
                _ => None,
            },
            _ => None,
        }
    }

    /// A moment as JSON text. Always six digits of the second, so that all are as long.
    pub(super) fn write(self, moment: SystemTime) -> String {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, micros) = (since.as_secs(), since.subsec_micros());
        let zone = match self {
            Self::Unix => return seconds.to_string(),
            Self::Offset => "+00:00",
            Self::Zulu => "Z",
            Self::Naive => "",
        };
        let (year, month, day) = date(seconds / DAY);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        format!(
            "\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}{zone}\""
        )
    }
}

/// Year, month and day of the Gregorian calendar, of a day since 1970. Years are
/// counted from March, so that a leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(form: Moment, seconds: u64, micros: u32) -> String {
        form.write(UNIX_EPOCH + Duration::new(seconds, micros * 1000))
    }

    #[test]
    fn a_moment_is_written_as_python_and_javascript_do() {
        let (seconds, micros) = (1_795_258_051, 123_456);
        let all = [Moment::Offset, Moment::Zulu, Moment::Naive, Moment::Unix];
        assert_eq!(
            all.map(|form| written(form, seconds, micros)),
            [
                r#""2026-11-21T10:47:31.123456+00:00""#,
                r#""2026-11-21T10:47:31.123456Z""#,
                r#""2026-11-21T10:47:31.123456""#,
                "1795258051"
            ]
        );
        assert_eq!(
            written(Moment::Zulu, 0, 7),
            r#""1970-01-01T00:00:00.000007Z""#
        );
    }

    #[test]
    fn the_calendar_knows_its_leap_years() {
        // Each day follows the one before by the rules of the calendar.
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..400_000 {
            assert_eq!(date(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day = day % length + 1;
            month = if day == 1 { month % 12 + 1 } else { month };
            year += u64::from((month, day) == (1, 1));
        }
    }
}
