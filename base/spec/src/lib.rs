//! The words of the OCI specifications as types: parse, render, validate. No I/O.

pub mod runtime;
