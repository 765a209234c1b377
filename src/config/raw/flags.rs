//! `[flags]`: features that some users have.

use super::{
    super::{
        named::{Percent, User},
        tree::Tree,
    },
    tables,
};

tables! {
    Flag {
        percent: Option<Percent>,
        always: Vec<User>,
        never: Vec<User>,
        salt: Option<String>,
        on: Option<Tree>,
        off: Option<Tree>,
    }
}
