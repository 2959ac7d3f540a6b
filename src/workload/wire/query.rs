//! The parameters of a render, from the query of its address.

use super::{Error, malformed};

/// Which part of a scene is rendered, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderParameters {
    /// Columns of the whole scene.
    pub scols: i32,
    /// Rows of the whole scene.
    pub srows: i32,
    /// Columns of the window, which is the picture rendered.
    pub wcols: i32,
    /// Rows of the window.
    pub wrows: i32,
    /// Columns from the scene's left edge to the window's.
    pub coff: i32,
    /// Rows by which the window stands below the scene's bottom rows.
    pub roff: i32,
    /// Smooths edges by several rays a pixel.
    pub aa: bool,
    /// Allows several threads, for services that otherwise use one.
    pub multi: bool,
}

/// Parses the query: what stands behind the `?`, without it.
///
/// Names and values are not percent-decoded; of a name that occurs again the last value holds.
/// Flags are true for "true" in any case, false for all else.
///
/// # Errors
/// [`Error::Malformed`] if a number is missing or is not a whole one of 32 bits.
pub fn parse(query: &str) -> Result<RenderParameters, Error> {
    let value = |wanted: &str| {
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        // A further `=` ends the value.
        let mut values = pairs.rev().filter(|(name, _)| *name == wanted);
        values.next().map(|(_, value)| value.split('=').next().unwrap_or(value))
    };
    let number = |name: &str| {
        let text = value(name).ok_or_else(|| {
            malformed(format!(
                "the parameter `{name}` is missing: a render needs scols, srows, wcols, wrows, \
                 coff and roff, for example ?scols=400&srows=300&wcols=400&wrows=300&coff=0&roff=0"
            ))
        })?;
        let shown: String = text.chars().take(40).collect();
        text.parse().map_err(|_| {
            malformed(format!("the parameter `{name}` is not a whole number of 32 bits: `{shown}`"))
        })
    };
    let flag = |name| value(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(RenderParameters {
        scols: number("scols")?,
        srows: number("srows")?,
        wcols: number("wcols")?,
        wrows: number("wrows")?,
        coff: number("coff")?,
        roff: number("roff")?,
        aa: flag("aa"),
        multi: flag("multi"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USUAL: &str = "scols=400&srows=300&wcols=400&wrows=300&coff=0&roff=0&aa=false";

    #[test]
    fn the_usual_query_is_read() {
        let expected = RenderParameters {
            scols: 400,
            srows: 300,
            wcols: 400,
            wrows: 300,
            coff: 0,
            roff: 0,
            aa: false,
            multi: false,
        };
        assert_eq!(parse(USUAL), Ok(expected));
    }

    #[test]
    fn the_last_of_equal_names_holds_and_signs_are_read() {
        let parameters = parse(&format!("{USUAL}&coff=-7&roff=+9&aa=TRUE&multi=1&x=%26")).unwrap();
        assert_eq!((parameters.coff, parameters.roff), (-7, 9));
        assert!(parameters.aa && !parameters.multi);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let message = |query: &str| parse(query).unwrap_err().to_string();
        assert!(message("").contains("`scols` is missing"));
        assert!(message(&USUAL.replace("wrows=300", "wrows=3e2")).contains("`wrows`"));
        assert!(message(&USUAL.replace("roff=0", "roff")).contains("`roff`"));
        assert!(message(&format!("{USUAL}&srows=2147483648")).contains("2147483648"));
        assert!(message(&USUAL.replace("scols=400", "scols=4%30")).contains("`4%30`"));
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "(scols=|&|=|[0-9]{1,12}|\\PC){0,30}") {
            let _ = parse(&query);
        }

        #[test]
        fn every_number_of_32_bits_is_read(number: i32) {
            let query = USUAL.replace("coff=0", &format!("coff={number}"));
            prop_assert_eq!(parse(&query).unwrap().coff, number);
        }
    }
}
