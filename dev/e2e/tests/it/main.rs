//! End-to-end tests: the real binary, by its command line. `CORTEN_BIN` names it.
