//! `[[source.exchange]]`: which HTTP exchanges are events.

use toml::Spanned;

use super::{
    super::{
        named::{Answers, Method},
        tree::Tree,
        value::{Many, Maybe, Pairs, Short, Size},
    },
    tables,
};

tables! {
    Exchange {
        name: Maybe<String>,
        on: Maybe<On>,
        when: Pairs<Tree>,
        each: Maybe<String>,
        event: Maybe<Happening>,
        max_body: Option<Size>,
        decompress: bool,
    }
    On {
        method: Many<Method>,
        path: Maybe<String>,
        status: Many<Answers>,
    }
    Happening {
        r#type: Maybe<String>,
        id: Maybe<String>,
        topics: Vec<Spanned<String>>,
        users: Maybe<Vec<Spanned<String>>>,
        except: Maybe<Short<Left>>,
        ephemeral: bool,
        data: Option<Tree>,
    }
    Left {
        users: Vec<Spanned<String>>,
    }
}
