//! What a client would rather have, by its `Accept` header (RFC 9110, 12.5.1).

use hyper::HeaderMap;
use hyper::header::ACCEPT;

/// Whether the client says that it would rather have a PNG than a BMP.
pub(super) fn prefers_png(headers: &HeaderMap) -> bool {
    quality(headers, "image/png") > quality(headers, "image/bmp")
}

/// Whether the client names HTML: browsers that show a page do, scripts and probes do not.
pub(super) fn names_html(headers: &HeaderMap) -> bool {
    ranges(headers).any(|(range, quality)| range == "text/html" && quality > 0.0)
}

/// How much the client wants a media type, 0 to 1: the weight of the most specific range.
fn quality(headers: &HeaderMap, media_type: &str) -> f64 {
    let group = media_type.split('/').next().unwrap_or_default();
    let specificity = |range: &str| match range.split_once('/') {
        _ if range == media_type => Some(2),
        Some((start, "*")) if start == group => Some(1),
        Some(("*", "*")) => Some(0),
        _ => None,
    };
    ranges(headers)
        .filter_map(|(range, quality)| Some((specificity(&range)?, quality)))
        .max_by_key(|(specificity, _)| *specificity)
        .map_or(0.0, |(_, quality)| quality)
}

/// The media ranges with their weights. A weight that is no number counts as 1.
fn ranges(headers: &HeaderMap) -> impl Iterator<Item = (String, f64)> {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f64>().ok());
            (name, weight.unwrap_or(1.0).clamp(0.0, 1.0))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        headers
    }

    #[test]
    fn a_client_without_a_wish_gets_what_there_always_was() {
        assert!(!prefers_png(&HeaderMap::new()));
        assert!(!names_html(&HeaderMap::new()));
        for accept in ["*/*", "image/*", "image/bmp", "image/png, image/bmp", "text/html", ""] {
            assert!(!prefers_png(&headers(accept)), "{accept}");
        }
    }

    #[test]
    fn a_client_that_prefers_png_is_heard() {
        for accept in [
            "image/png",
            "IMAGE/PNG",
            "image/png, */*;q=0.8",
            "image/avif,image/webp,image/png,image/*;q=0.8,*/*;q=0.5",
            "image/bmp;q=0.1, image/*",
            "image/bmp;q=0, */*",
        ] {
            assert!(prefers_png(&headers(accept)), "{accept}");
        }
    }

    #[test]
    fn browsers_name_html_and_others_do_not() {
        assert!(names_html(&headers("text/html,application/xhtml+xml,*/*;q=0.8")));
        assert!(!names_html(&headers("*/*")));
        assert!(!names_html(&headers("text/html;q=0")));
    }
}
