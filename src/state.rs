//! The state folder: all that the parts of a cluster know of each other, as files.
//!
//! The only room that knows XML and file names. Documents are replaced whole under a lock, so no
//! reader sees half a file and no update is lost; readers are level-triggered: they act on what a
//! file says now, never on having seen it change.

pub mod as_state;
pub mod lb_state;
pub mod vm_state;
pub mod xml;
