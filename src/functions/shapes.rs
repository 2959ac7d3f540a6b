//! The events of triggers, in the shapes that functions know from elsewhere.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::trigger::{Due, Trigger};

/// A file that was found.
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) name: &'a str,
    pub(super) key: &'a str,
    pub(super) bytes: u64,
    pub(super) modified: Timestamp,
}

impl File<'_> {
    /// The event, in the shape of an object store's, so that functions written for one understand
    /// it, with where the file is beside it:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>.
    pub(super) fn event(
        &self,
        trigger: &Trigger,
        inbox: &Path,
        output: Option<&Path>,
        now: Timestamp,
    ) -> Value {
        let bucket = inbox.file_name().unwrap_or_default().to_string_lossy();
        json!({
            "Records": [{
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "local",
                "eventTime": now.to_string(),
                "eventName": "ObjectCreated:Put",
                "responseElements": { "x-amz-request-id": self.key },
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": trigger.name.as_str(),
                    "bucket": { "name": bucket },
                    "object": {
                        "key": form_encoded(self.name),
                        "size": self.bytes,
                        "eTag": self.key,
                        "sequencer": format!("{:032X}", self.modified.as_nanosecond()),
                    },
                },
            }],
            "trigger": trigger.name.as_str(),
            "key": self.key,
            "path": self.path.display().to_string(),
            "output": output.map(|path| path.display().to_string()),
        })
    }
}

/// The event of a time, in the shape of an event bus's
/// (<https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>).
pub(super) fn time_event(trigger: &Trigger, key: &str, due: Due) -> Value {
    json!({
        "version": "0",
        "id": format!("{}-{key}", trigger.name),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "local",
        "time": due.at.to_string(),
        "region": "local",
        "resources": [trigger.name.as_str()],
        "detail": { "missed": due.missed },
        "trigger": trigger.name.as_str(),
        "key": key,
    })
}

/// The name of an object as it stands in such an event: like a field of a form.
fn form_encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b' ' => text.push('+'),
            b'/' | b'-' | b'.' | b'_' | b'*' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_encoded_as_object_stores_do_it() {
        assert_eq!(form_encoded("red flower.jpg"), "red+flower.jpg");
        assert_eq!(form_encoded("a/b-c_d*é%"), "a/b-c_d*%C3%A9%25");
    }
}
