//! The name of a request: one from the client to the VM, in every line that tells of it.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::X_REQUEST_ID;

/// Which trace a request belongs to (W3C Trace Context, section 3.2). It is forwarded as it is.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// A longer name is not kept: it goes into every log line.
const LONGEST: usize = 128;

/// The client's name for its request; or else the trace that it belongs to; or else a new one.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    name_of(headers.get(X_REQUEST_ID), headers.get_all(TRACEPARENT).iter())
}

/// The same from the values of these two headers, [`X_REQUEST_ID`] and [`TRACEPARENT`].
pub fn name_of<'a>(
    own: Option<&HeaderValue>,
    traceparents: impl Iterator<Item = &'a HeaderValue>,
) -> HeaderValue {
    let usable = |id: &&HeaderValue| {
        (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let own = own.filter(usable).cloned();
    own.or_else(|| trace_id(traceparents)).unwrap_or_else(new)
}

/// The trace id of a `traceparent`, `00-<trace id>-<parent id>-<flags>`: 32 hexadecimal digits. One
/// that breaks the rules is as none, and so are several.
fn trace_id<'a>(mut all: impl Iterator<Item = &'a HeaderValue>) -> Option<HeaderValue> {
    let text = all.next()?.to_str().ok()?;
    let mut fields = text.split('-');
    let mut digits = |count: usize| {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        fields.next().filter(|field| field.len() == count && field.bytes().all(digit))
    };
    let version = digits(2).filter(|version| *version != "ff")?;
    let trace = digits(32).filter(|trace| trace.bytes().any(|byte| byte != b'0'))?;
    digits(16).filter(|parent| parent.bytes().any(|byte| byte != b'0'))?;
    digits(2)?;
    // A later version may say more after these.
    let ends = version != "00" || fields.next().is_none();
    (ends && all.next().is_none()).then(|| HeaderValue::from_str(trace).ok()).flatten()
}

/// 12 characters of base 32, 60 random bits: two in a million million requests are the same.
fn new() -> HeaderValue {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let bits = fastrand::u64(..);
    let digit = |at| usize::try_from(bits >> (5 * at) & 31).unwrap_or_default();
    let id: [u8; 12] = std::array::from_fn(|at| DIGITS[digit(at)]);
    // Owned as it is, the id is copied by none of those who note it.
    HeaderValue::from_maybe_shared(Bytes::from_owner(id))
        .unwrap_or(HeaderValue::from_static("request"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        request_id(&map).to_str().unwrap().to_owned()
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_usable_request_id_is_kept_and_any_other_replaced() {
        let named = |id: &str| of(&[("x-request-id", id)]);
        assert_eq!(named("mine-1"), "mine-1");
        assert_eq!(named("with space").len(), 12);
        assert_eq!(named(&"x".repeat(129)).len(), 12);
        assert_ne!(named(""), named(""));
    }

    #[test]
    fn a_request_of_a_trace_is_named_after_it_unless_it_has_a_name() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(of(&[("traceparent", &parent)]), TRACE);
        assert_eq!(of(&[("traceparent", &parent), ("x-request-id", "mine")]), "mine");
        let later = format!("cc-{TRACE}-00f067aa0ba902b7-01-what-the-future-brings");
        assert_eq!(of(&[("traceparent", &later)]), TRACE);
    }

    #[test]
    fn a_trace_that_breaks_the_rules_is_none() {
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{zeros}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", &TRACE[1..]),
        ] {
            assert_eq!(of(&[("traceparent", &bad)]).len(), 12, "{bad}");
        }
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(of(&[("traceparent", &parent), ("traceparent", &parent)]).len(), 12);
    }
}
