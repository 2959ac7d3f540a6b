//! `[[alert]]` in the settings file: what is to be told to whom.

use std::time::Duration;

use hyper::Uri;

use super::{did_you_mean, nearest, value};
use crate::domain::alerting::{BadCondition, Condition, Figure};

/// How long a command or a webhook may take if nothing is said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The names that an alert can have, in the order in which they are told.
const FIELDS: [&str; 6] = ["name", "when", "for", "command", "webhook", "timeout"];

/// An alert: when it fires, and who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// What has to hold.
    pub condition: Condition,
    /// For how long.
    pub hold: Duration,
    /// Run by `sh -c`, with what happened as JSON on its stdin.
    pub command: Option<String>,
    /// Gets the same by POST.
    pub webhook: Option<Uri>,
    /// How long either may take.
    pub timeout: Duration,
}

/// Reads an entry.
///
/// # Errors
/// A sentence that names the field and what would be right.
pub(super) fn read(entry: &toml::Value, others: &[Alert]) -> Result<Alert, String> {
    let table = entry.as_table().ok_or("a table is needed")?;
    for field in table.keys() {
        if !FIELDS.contains(&field.as_str()) {
            let near = nearest(field, FIELDS.into_iter())
                .map_or_else(|| format!("; there are {}", FIELDS.join(", ")), did_you_mean);
            return Err(format!("no field is called `{field}`{near}"));
        }
    }
    let text = |field: &str| match table.get(field) {
        None => Ok(None),
        Some(value) => {
            let text = value::as_text(value).filter(|text| !text.is_empty());
            text.map(Some).ok_or_else(|| format!("`{field}` must be a text"))
        }
    };
    let time = |field: &str, default: Duration| match text(field)? {
        None => Ok(default),
        Some(text) => value::time(&text).map_err(|error| format!("`{field}` = `{text}`: {error}")),
    };
    let name = text("name")?.ok_or("`name` is missing")?;
    if others.iter().any(|other| other.name == name) {
        return Err(format!("there are two called `{name}`"));
    }
    let when = text("when")?
        .ok_or_else(|| format!("`{name}` needs a `when`, for example when = \"p95_ms > 500\""))?;
    let (command, webhook) = (text("command")?, text("webhook")?);
    if command.is_none() && webhook.is_none() {
        return Err(format!("`{name}` needs a `command` or a `webhook`: who is to be told?"));
    }
    Ok(Alert {
        condition: when
            .parse()
            .map_err(|error: BadCondition| format!("`when` = `{when}`: {}", hint(&error)))?,
        hold: time("for", Duration::ZERO)?,
        webhook: webhook.map(|webhook| address(&webhook)).transpose()?,
        timeout: time("timeout", TIMEOUT)?,
        name,
        command,
    })
}

fn hint(error: &BadCondition) -> String {
    let BadCondition::Figure(typed) = error else { return error.to_string() };
    let names = Figure::ALL.map(Figure::as_str);
    let near = nearest(typed, names.into_iter())
        .map_or_else(|| format!("; there are {}", names.join(", ")), did_you_mean);
    format!("{error}{near}")
}

fn address(text: &str) -> Result<Uri, String> {
    text.parse::<Uri>()
        .ok()
        .filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
        .ok_or_else(|| {
            format!(
                "`webhook` = `{text}`: http://HOST[:PORT]/PATH is needed; for https let a \
                 `command` run curl"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Alert, String> {
        read(&toml::Value::Table(text.parse().unwrap()), &[])
    }

    #[test]
    fn an_alert_is_read_whole() {
        let alert = told(
            "name = 'slow'\nwhen = 'p95_ms > 500'\nfor = '30s'\nwebhook = 'http://a:9/b'\n\
             timeout = 2",
        );
        let alert = alert.unwrap();
        assert_eq!((alert.hold, alert.timeout), (Duration::from_secs(30), Duration::from_secs(2)));
        assert_eq!(alert.condition.to_string(), "p95_ms > 500");
        assert_eq!(alert.webhook.unwrap().to_string(), "http://a:9/b");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (text, said) in [
            ("when = 'cpu > 1'", "`name` is missing"),
            ("name = 'a'", "`a` needs a `when`"),
            ("name = 'a'\nwhen = 'cpu > 1'", "needs a `command` or a `webhook`"),
            ("name = 'a'\nwhen = 'p59_ms > 1'\ncommand = 'x'", "did you mean `p95_ms`?"),
            ("name = 'a'\nwhen = 'cpu'\ncommand = 'x'", "FIGURE > NUMBER is needed"),
            ("name = 'a'\nwhen = 'cpu > 1'\ncomand = 'x'", "did you mean `command`?"),
            ("name = 'a'\nwhen = 'cpu > 1'\ncommand = 'x'\nfor = 'long'", "`for` = `long`"),
            ("name = 'a'\nwhen = 'cpu > 1'\nwebhook = 'https://a/'", "let a `command` run curl"),
            ("name = 'a'\nwhen = 'cpu > 1'\nwebhook = 'a'", "http://HOST"),
        ] {
            let error = told(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        let one = told("name = 'a'\nwhen = 'cpu > 1'\ncommand = 'x'").unwrap();
        let again = toml::Value::Table("name = 'a'".parse().unwrap());
        assert_eq!(read(&again, &[one]).unwrap_err(), "there are two called `a`");
    }
}
