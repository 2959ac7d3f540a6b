//! What a person sees of a cluster, and what they can do to it from the keyboard.
//!
//! ```text
//!   state folder ──source──▶ News ──▶ Data ─┐
//!   keys ──────────────────▶ Message ──▶ update(Model) ──▶ view(Model) ──▶ terminal
//!                                           └──▶ Effect ──▶ operator, clipboard, file
//! ```
//!
//! `update` and `view` are pure; effects are the only way by which
//! keys touch the world, and the dangerous ones ask first. What is known of a cluster enters as
//! `News` alone, so a recording of news replays to the same frames.

pub mod overview;
pub mod picture;
pub mod stream;

mod acts;
mod cost;
mod data;
mod dialogs;
mod effects;
mod events_list;
mod filter;
mod fire;
#[cfg(test)]
mod fixture;
pub(crate) mod format;
mod functions;
mod history;
mod keys;
mod model;
mod news;
mod replay;
mod rows;
mod scaler;
mod sort;
mod source;
mod stats;
mod steer;
mod svg;
mod terminal;
mod theme;
mod update;
mod verdict;
mod view;

pub use fire::{Fire, Firing, MakeImage, Tell};
pub use keys::Rebound;
pub use terminal::{Outcome, Settings, replay, run};
pub use theme::{Palette, Symbols, Theme};
