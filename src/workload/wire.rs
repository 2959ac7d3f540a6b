//! Placeholder until the wire branch lands.
