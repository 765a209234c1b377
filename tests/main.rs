//! All tests of what can be seen from outside: one binary, built once.

mod config;
