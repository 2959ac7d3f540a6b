//! The state folder: all that the parts of a cluster know of each other, as files.
//!
//! The only room that knows XML and file names. Documents are replaced whole under a lock, so no
//! reader sees half a file and no update is lost; readers are level-triggered: they act on what a
//! file says now, never on having seen it change.
//!
//! ```text
//!   documents     vm_state, as_state, lb_state       what is, what should be, what the balancer sees
//!   functions, function_state                      the functions there are, and how they do
//!   deliveries                                       the events of triggers, pending, done, dead
//!   lines         events, metrics, samples           appended, one line at a time
//!   records, follow                                  what these files were before; as they grow
//!   table                                            what metrics.txt says, indexed
//!   cluster_file                                     the addresses in force while a cluster runs
//!   image                                            what a VM is launched from
//!   folder        lock, read, change, temporary file, rename
//!   watch         tells readers when a document says something new
//! ```

pub mod access;
pub mod alerts;
pub mod as_state;
pub mod cluster_file;
pub mod cost_model;
pub mod deliveries;
pub mod document;
mod error;
pub mod events;
pub mod folder;
pub mod follow;
pub mod function_log;
pub mod function_state;
pub mod functions;
pub mod image;
pub mod lb_state;
pub mod logfmt;
pub mod metrics;
mod records;
pub mod samples;
pub mod table;
pub mod vm_state;
pub mod watch;
pub mod xml;

pub use document::Document;
pub use error::Error;
pub use folder::{SocketPlace, StateFolder, socket_name};
pub use watch::{View, Watcher};
