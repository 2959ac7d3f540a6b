//! The `<Trigger>` elements.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::trigger::{Files, Schedule, Source, Trigger};
use crate::state::xml::{Element, Fields, Foreign, Problem, milliseconds};

/// How long a file must have been left alone if nothing is said.
const SETTLE: Duration = Duration::from_secs(1);

/// Reads one; `others` are those before it.
pub(super) fn read(
    element: &Element,
    others: &[(Trigger, Foreign)],
) -> Result<(Trigger, Foreign), Problem> {
    let wrong = |message: String| Problem::new(element.at, message);
    let mut fields = Fields::of(element);
    let (name, function) = (fields.word("name")?, fields.word("function")?);
    let (name, function) = (fields.required("name", name)?, fields.required("function", function)?);
    let (folder, output) = (fields.text("folder"), fields.text("output"));
    let settle: Option<Duration> = fields.seconds("settle")?;
    let (schedule, zone) = (fields.text("schedule"), fields.text("zone"));
    let (attempts, pause) = (fields.whole("attempts")?, fields.seconds("pause")?);
    let source = match (folder, schedule) {
        (Some(folder), None) => Source::Files(Files {
            folder: folder.into(),
            output: output.map(PathBuf::from),
            settle: settle.unwrap_or(SETTLE),
        }),
        (None, Some(schedule)) => {
            let zone = zone.as_deref().map_or(Ok(TimeZone::UTC), TimeZone::get);
            let zone = zone.map_err(|error| wrong(format!("attribute `zone`: {error}")))?;
            Source::Schedule(Schedule::new(&schedule, zone).map_err(|bad| wrong(bad.to_string()))?)
        }
        _ => {
            let message = "<Trigger> needs one of the attributes `folder` and `schedule`";
            return Err(wrong(message.to_owned()));
        }
    };
    let usual = Trigger::new(name, function, source);
    let trigger = Trigger {
        attempts: attempts.unwrap_or(usual.attempts),
        pause: pause.unwrap_or(usual.pause),
        ..usual
    };
    trigger.check().map_err(|bad| wrong(bad.to_string()))?;
    if others.iter().any(|(other, _)| other.name == trigger.name) {
        return Err(wrong(format!("there are two triggers with the name `{}`", trigger.name)));
    }
    Ok((trigger, fields.foreign(|_| Ok(false))?))
}

pub(super) fn write(trigger: &Trigger) -> Element {
    let element =
        Element::new("Trigger").with("name", &trigger.name).with("function", &trigger.function);
    let element = match &trigger.source {
        Source::Files(files) => element
            .with("folder", files.folder.display())
            .with_some("output", files.output.as_ref().map(|path| path.display()))
            .with("settle", milliseconds(files.settle)),
        Source::Schedule(schedule) => {
            element.with("schedule", schedule.text()).with("zone", schedule.zone())
        }
    };
    element.with("attempts", trigger.attempts).with("pause", milliseconds(trigger.pause))
}
