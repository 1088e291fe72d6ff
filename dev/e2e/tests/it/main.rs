//! End-to-end tests: the real binary, by its command line. `CORTEN_BIN` names it.
//!
//! Every case has a sandbox of its own, which fails it when anything is left behind. One module per noun.

#![allow(clippy::unwrap_used, reason = "in a test a surprise is a failure")]
#![allow(clippy::disallowed_methods, reason = "tests look at the machine as its user does")]

mod adoption;
mod as_command;
mod bad_input;
mod bad_values;
mod boot;
mod check;
mod client_config;
mod commit;
mod completion;
mod cp;
mod devices;
mod df;
mod diff;
mod events;
mod exec;
mod export;
mod full_disk;
mod health;
mod image_prune;
mod images;
mod lifecycle;
mod limits;
mod log_drivers;
mod logs;
mod lsm;
mod many;
mod mounts;
mod namespaces;
mod odd_trees;
mod pause;
mod place;
mod port;
mod prune;
mod ps;
mod rename;
mod restart;
mod run;
mod security;
mod selinux;
mod stats;
mod top;
mod tty;
mod undo;
mod unwatched;
mod update;
mod volumes;
mod why;
