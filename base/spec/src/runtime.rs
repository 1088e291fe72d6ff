//! The runtime-spec's `config.json` and state, as far as corten produces and consumes them.
