//! The topics that the app itself names for a client at connect, page by page.
//!
//! The session is in the hub before the app is asked: what the feed says meanwhile
//! about one of its topics is newer than the answer, and counts.

use std::{collections::HashSet, time::Duration};

use http::{
    Uri,
    header::HOST,
    uri::{PathAndQuery, Scheme},
};
use serde_json::Value;
use tokio::time::timeout;

use super::{Sessions, caller::Caller, refuse::Refusal};
use crate::{
    event::{Offset, Topic},
    frame::{Client, Scope},
    hub::Subscriber,
    routes::{RouteTable, TopicsFrom},
};

/// Pages of one answer.
const MAX_PAGES: usize = 100;
/// For all questions and all their pages together.
const WHOLE: Duration = Duration::from_secs(15);

/// A session in the hub that is not open yet: out of it again, unless it stays.
struct Entered<'a> {
    sessions: &'a Sessions,
    subscriber: &'a Subscriber,
    stays: bool,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.stays {
            self.sessions.hub.leave(self.subscriber);
        }
    }
}

impl Sessions {
    /// Asks the app for a session's topics and subscribes to them, from the place on
    /// where it begins. Gives all topics that it has then. A session that
    /// cannot have all of them is refused: it would miss things in silence.
    pub(super) async fn gather(
        &self,
        table: &RouteTable,
        (subscriber, since): (&Subscriber, Offset),
        caller: &Caller,
    ) -> Result<Vec<Topic>, Refusal> {
        if subscriber.endpoint.topics_from.is_empty() {
            return Ok(subscriber.topics.to_vec());
        }
        let mut entered = Entered {
            sessions: self,
            subscriber,
            stays: false,
        };
        let question = self.hub.ask(&subscriber.outbox);
        let topics = timeout(WHOLE, self.all_topics(table, subscriber, caller)).await;
        let late = || Refusal::Unknown(format!("no answer with all topics within {WHOLE:?}"));
        let mut topics = topics.map_err(|_| late())??;
        let granted = self.hub.grant_since(&question, topics.clone(), since).await;
        granted.map_err(|_| Refusal::Full("max_topics"))?;
        entered.stays = true;
        topics.extend_from_slice(&subscriber.topics);
        Ok(topics)
    }

    async fn all_topics(
        &self,
        table: &RouteTable,
        subscriber: &Subscriber,
        caller: &Caller,
    ) -> Result<Vec<Topic>, Refusal> {
        let mut topics = HashSet::new();
        for from in &subscriber.endpoint.topics_from {
            self.pages(table, (from, subscriber), caller, &mut topics)
                .await?;
        }
        Ok(topics.into_iter().collect())
    }

    async fn pages(
        &self,
        table: &RouteTable,
        (from, subscriber): (&TopicsFrom, &Subscriber),
        caller: &Caller,
        topics: &mut HashSet<Topic>,
    ) -> Result<(), Refusal> {
        let mut client = Client::clone(&subscriber.client);
        let scope = Scope {
            client: Some(&client),
            ..Scope::default()
        };
        let path = from.path.render_path(&scope);
        let mut path = path.map_err(|missing| Refusal::NotPermitted(missing.to_string()))?;
        client.params.push((TopicsFrom::VALUE.into(), Value::Null));
        for _ in 0..MAX_PAGES {
            let answer = self.ask_app(table, caller, (&path, from.cache)).await?;
            let page = answer.json();
            read(from, &page, &mut client, topics)?;
            if topics.len() > subscriber.endpoint.limits.max_topics {
                return Err(Refusal::Full("max_topics"));
            }
            match next_page(table, caller, (from, &path, &page)) {
                Ok(Some(next)) => path = next,
                Ok(None) => return Ok(()),
                Err(why) => return Err(Refusal::Unknown(why)),
            }
        }
        Err(Refusal::Unknown(format!(
            "{path} has more than {MAX_PAGES} pages"
        )))
    }
}

/// The path of the page after this one. The client's credentials go nowhere but to
/// the app: a URL counts if it is of the host that the client asked for, or the app's.
fn next_page(
    table: &RouteTable,
    caller: &Caller,
    (from, path, page): (&TopicsFrom, &str, &Value),
) -> Result<Option<String>, String> {
    let next = from.next.as_ref().and_then(|next| page.pointer(next));
    let next = match next {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(next)) if next.is_empty() => return Ok(None),
        Some(Value::String(next)) => next,
        Some(_) => return Err("the next page is no text".into()),
    };
    let host = caller.headers().get(HOST).cloned();
    let app = table.app.settings().address.authority();
    let ours =
        |authority: &str| authority == app || host.as_ref().is_some_and(|host| host == authority);
    next_path(path, next, ours).map(Some)
}

/// The topics of one page.
fn read(
    from: &TopicsFrom,
    page: &Value,
    client: &mut Client,
    topics: &mut HashSet<Topic>,
) -> Result<(), Refusal> {
    let found = from.each.find(page);
    for value in found.map_err(|nowhere| Refusal::Unknown(nowhere.to_string()))? {
        match value {
            Value::Null => continue,
            Value::String(_) | Value::Number(_) => {}
            _ => {
                return Err(Refusal::Unknown(
                    "a topic of the app's answer is no text or number".into(),
                ));
            }
        }
        if let Some((_, of_topic)) = client.params.last_mut() {
            *of_topic = value.clone();
        }
        let scope = Scope {
            client: Some(client),
            ..Scope::default()
        };
        let topic = from.topic.render(&scope);
        let topic = topic.map_err(|missing| Refusal::NotPermitted(missing.to_string()))?;
        topics.insert(topic.into());
    }
    Ok(())
}

/// The path that a link on a page leads to.
fn next_path(path: &str, next: &str, ours: impl Fn(&str) -> bool) -> Result<String, String> {
    let (base, _) = path.split_once('?').unwrap_or((path, ""));
    let next = match next {
        query if query.starts_with('?') => format!("{base}{query}"),
        path if path.starts_with('/') && !path.starts_with("//") => path.to_owned(),
        url => {
            let url: Uri = url
                .parse()
                .map_err(|_| "the next page is no URL".to_owned())?;
            let is_web = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&url.scheme());
            let host = url.authority().map(http::uri::Authority::as_str);
            if !is_web || !host.is_some_and(ours) {
                return Err("the next page is on another host".into());
            }
            let path = url.path_and_query().map(PathAndQuery::as_str);
            path.unwrap_or("/").to_owned()
        }
    };
    match next.parse::<PathAndQuery>() {
        Ok(_) => Ok(next),
        Err(_) => Err("the next page is no URL".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_same_host_only() {
        let next =
            |link: &str| next_path("/api/chats/?page=1", link, |host| host == "shop.example");
        for (link, path) in [
            ("?page=2", "/api/chats/?page=2"),
            ("/api/chats/?page=2", "/api/chats/?page=2"),
            (
                "https://shop.example/api/chats/?page=2",
                "/api/chats/?page=2",
            ),
            ("http://shop.example", "/"),
        ] {
            assert_eq!(next(link).as_deref(), Ok(path), "{link}");
        }
        for link in [
            "http://evil.example/",
            "//evil.example/",
            "ftp://shop.example/",
            "page2",
            "/a b",
            "http://shop.example@evil.example/",
        ] {
            assert!(next(link).is_err(), "{link}");
        }
    }
}
