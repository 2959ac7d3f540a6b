//! Numbers as people read them: short, with their unit, never more digits than mean something.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What stands where nothing is known. "No data" is not 0.
pub(crate) const UNKNOWN: &str = "—";

/// Time from `then` to `now`; none of it if the clock was set back.
pub(crate) fn since(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

/// `3s`, `7m41s`, `2h05m`, `3d04h`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// `640K`, `48M`, `1.2G`: powers of 1024.
pub(crate) fn bytes(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    let value = bytes as f64;
    if value < KIB {
        format!("{bytes}B")
    } else if value < KIB * KIB {
        format!("{:.0}K", value / KIB)
    } else if value < KIB * KIB * KIB {
        format!("{:.0}M", value / (KIB * KIB))
    } else {
        format!("{:.1}G", value / (KIB * KIB * KIB))
    }
}

/// `41ms`, `1.6s`, `2m05s` from milliseconds; [`UNKNOWN`] for none at all.
pub(crate) fn milliseconds(value: f64) -> String {
    if !value.is_finite() || value <= 0.0 {
        UNKNOWN.to_owned()
    } else if value < 1.0 {
        "<1ms".to_owned()
    } else if value < 999.5 {
        format!("{value:.0}ms")
    } else if value < 60_000.0 {
        format!("{:.1}s", value / 1000.0)
    } else {
        duration(Duration::from_secs_f64((value / 1000.0).min(1e9)))
    }
}

/// `82%` from a share of 1.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// `15.9`, `120`: a rate with one decimal while that says something.
pub(crate) fn rate(rate: f64) -> String {
    if rate < 99.95 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// `$0.0093`, `$12.41`.
pub(crate) fn dollars(value: f64) -> String {
    if value < 1.0 { format!("${value:.4}") } else { format!("${value:.2}") }
}

/// `1 VM`, `4 VMs`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// `14:02:34` in the reader's time zone.
pub(crate) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
}

/// `14:02:34.412`.
pub(crate) fn clock_exact(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string()
}

/// An address that can be opened: of one that stands for all of this machine's, the local one.
pub(crate) fn reachable(address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => address.to_owned(),
    }
}

/// How many columns of a terminal the text takes.
pub(crate) fn columns(text: &str) -> usize {
    ratatui::text::Span::raw(text).width()
}

/// The text in at most `width` columns, its end marked if it was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = columns(c.encode_utf8(&mut [0; 4]));
        if used + wide >= width {
            break;
        }
        used += wide;
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// The words of the text in lines of at most `width` columns; a longer word has a line of its own.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let shown = |seconds| duration(Duration::from_secs(seconds));
        let all = [0, 59, 60, 734, 3600, 7_500, 86_400, 273_600].map(shown);
        assert_eq!(all, ["0s", "59s", "1m00s", "12m14s", "1h00m", "2h05m", "1d00h", "3d04h"]);
    }

    #[test]
    fn a_number_keeps_its_unit_across_the_boundaries() {
        let all = [0, 1023, 1024, 48 << 20, 1_300_000_000].map(bytes);
        assert_eq!(all, ["0B", "1023B", "1K", "48M", "1.2G"]);
        let all = [f64::NAN, 0.0, 0.4, 41.0, 999.4, 999.6, 1610.0, 125_000.0].map(milliseconds);
        assert_eq!(all, ["—", "—", "<1ms", "41ms", "999ms", "1.0s", "1.6s", "2m05s"]);
    }

    #[test]
    fn an_address_is_one_that_can_be_opened() {
        let all = ["0.0.0.0:8000", "[::]:80", "10.0.0.7:8000", ""].map(reachable);
        assert_eq!(all, ["127.0.0.1:8000", "[::1]:80", "10.0.0.7:8000", ""]);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_negative_age() {
        let now = Timestamp::from_second(1000).unwrap();
        let later = Timestamp::from_second(2000).unwrap();
        assert_eq!(since(now, later), Duration::ZERO);
        assert_eq!(since(later, now), Duration::from_secs(1000));
    }

    #[test]
    fn wrapped_text_has_all_its_words_and_only_long_ones_stand_out() {
        assert_eq!(wrap("mean cpu 0.78 of 4", 8), ["mean cpu", "0.78 of", "4"]);
        assert_eq!(wrap("a incomprehensible b", 5), ["a", "incomprehensible", "b"]);
        assert_eq!(wrap("", 5), [""; 0]);
    }

    #[test]
    fn cut_text_never_exceeds_its_width_and_says_that_it_was_cut() {
        assert_eq!(cut("healthy", 7), "healthy");
        assert_eq!(cut("healthy", 4), "hea…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("x", 0), "");
    }
}
