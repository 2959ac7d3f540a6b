//! Placeholder until the imaging branch lands.
