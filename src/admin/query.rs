//! What a request asks for behind the `?`.

use http::Uri;

/// The words of a query: each is known, and but for some stands once.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// A word in it that is none of these.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, String> {
        let query = uri.query().unwrap_or_default();
        let words: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        match words.iter().find(|(key, _)| !known.contains(&&**key)) {
            Some((key, _)) => Err(format!(
                "There is no `{key}` here, only {}.\n",
                known.join(", ")
            )),
            None => Ok(Self(words)),
        }
    }

    /// The value of a word that says something.
    pub(super) fn get<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// The values of a word that may stand there several times.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let words = self.0.iter().filter(move |(other, _)| other == key);
        words
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}
