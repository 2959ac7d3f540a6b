//! What the screen does by way of others that it does not know: whoever opens it hands that over.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::domain::vm::VmId;
use crate::operator::Volley;
use crate::state::image::ImageName;

/// Told a sentence on how far it is, whenever that changes.
pub type Tell = Box<dyn Fn(String) + Send + Sync>;
/// Ends with a sentence on what came of it: good, or what is wrong.
pub type Firing = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Fires requests at the cluster that is shown.
#[derive(Clone)]
pub struct Fire(Arc<dyn Fn(Volley, Tell) -> Firing + Send + Sync>);

impl Fire {
    /// Fires by way of this function.
    pub fn by(fire: impl Fn(Volley, Tell) -> Firing + Send + Sync + 'static) -> Self {
        Self(Arc::new(fire))
    }

    /// Fires `volley`.
    pub(super) fn fire(&self, volley: Volley, tell: Tell) -> Firing {
        (self.0)(volley, tell)
    }
}

impl fmt::Debug for Fire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fire")
    }
}

type Make = dyn Fn(&ImageName, &VmId) -> Result<String, String> + Send + Sync;

/// Makes an image of a VM: a sentence on what came of it. Blocks, on files.
#[derive(Clone)]
pub struct MakeImage(Arc<Make>);

impl MakeImage {
    /// Makes it by way of this function.
    pub fn by(
        make: impl Fn(&ImageName, &VmId) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(make))
    }

    /// Makes an image called `name` of the VM.
    pub(super) fn make(&self, name: &ImageName, from: &VmId) -> Result<String, String> {
        (self.0)(name, from)
    }
}

impl fmt::Debug for MakeImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MakeImage")
    }
}
