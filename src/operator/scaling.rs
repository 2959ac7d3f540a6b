//! What a person can ask of the autoscaler.

use super::{Error, change, tell};
use crate::domain::scaling::{Defaults, Parameter, Policy};
use crate::state::StateFolder;
use crate::state::events::EventKind;

/// Puts a policy in force, with its parameters. Returns all parameters in force.
///
/// # Errors
/// [`Error::Policy`], [`Error::NoCluster`], [`Error::State`].
pub fn set_policy(
    folder: &StateFolder,
    name: &str,
    parameters: &[(String, String)],
    defaults: &Defaults,
) -> Result<Vec<Parameter>, Error> {
    let (_, in_force) = Policy::read(name, parameters, defaults)?;
    change(folder, |file| {
        name.clone_into(&mut file.policy);
        file.parameters = parameters.to_vec();
    })?;
    let given = parameters.iter().map(|(key, value)| format!("{key}={value}"));
    let told = std::iter::once(name.to_owned()).chain(given).collect::<Vec<_>>().join(" ");
    tell(folder, EventKind::Operator, None, &format!("policy {told}"));
    Ok(in_force)
}

/// Sets the fewest and the most VMs.
///
/// # Errors
/// [`Error::Limits`], [`Error::NoCluster`], [`Error::State`].
pub fn set_limits(folder: &StateFolder, minimum: u32, maximum: u32) -> Result<(), Error> {
    if minimum > maximum {
        return Err(Error::Limits { minimum, maximum });
    }
    change(folder, |file| (file.minimum, file.maximum) = (minimum, maximum))?;
    tell(folder, EventKind::Operator, None, &format!("limits {minimum} to {maximum}"));
    Ok(())
}

/// Asks for so many VMs, until the policy decides otherwise.
///
/// # Errors
/// [`Error::Desired`], [`Error::NoCluster`], [`Error::State`].
pub fn set_desired(folder: &StateFolder, asked: u32) -> Result<(), Error> {
    change(folder, |file| {
        let (minimum, maximum) = (file.minimum, file.maximum);
        if !(minimum..=maximum).contains(&asked) {
            return Err(Error::Desired { asked, minimum, maximum });
        }
        file.settled.get_or_insert(file.desired);
        file.desired = asked;
        Ok(())
    })??;
    tell(folder, EventKind::Operator, None, &format!("{asked} VMs asked for"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::as_state::AsStateFile;
    use crate::state::document::Document;

    fn stopped() -> (tempfile::TempDir, StateFolder) {
        let parent = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(parent.path()).unwrap();
        folder.update(|_: &mut AsStateFile| ()).unwrap();
        (parent, folder)
    }

    #[test]
    fn a_policy_limits_and_a_size_are_written_as_a_person_would_write_them() {
        let (_parent, folder) = stopped();
        let defaults = crate::config::Settings::default().autoscaler.policy_defaults();
        let wait = [("wait".to_owned(), "0.1".to_owned())];
        let in_force = set_policy(&folder, "staffing", &wait, &defaults).unwrap();
        assert!(in_force.iter().any(|known| (known.name, known.value.as_str()) == ("wait", "0.1")));
        set_limits(&folder, 2, 9).unwrap();
        set_desired(&folder, 4).unwrap();
        let by_command = folder.read::<AsStateFile>().unwrap().unwrap();
        assert_eq!(by_command.asked(), Some(4));
        let by_hand = "<ASState version=\"1\" seq=\"4\" policy=\"staffing\" minimum=\"2\" \
                       maximum=\"9\" \
                       desired=\"4\" settled=\"0\"><Policy wait=\"0.1\"/></ASState>";
        assert_eq!(by_command, AsStateFile::parse(by_hand.as_bytes()).unwrap());
    }

    #[test]
    fn wishes_that_make_no_sense_change_nothing() {
        let (_parent, folder) = stopped();
        let defaults = crate::config::Settings::default().autoscaler.policy_defaults();
        set_limits(&folder, 2, 9).unwrap();
        let before = folder.read::<AsStateFile>().unwrap();
        let refused = [
            set_limits(&folder, 3, 2).unwrap_err().to_string(),
            set_desired(&folder, 10).unwrap_err().to_string(),
            set_policy(&folder, "magic", &[], &defaults).unwrap_err().to_string(),
        ];
        assert_eq!(refused[0], "the minimum 3 is above the maximum 2");
        assert!(refused[1].starts_with("10 VMs are not allowed: the limits are 2 to 9"));
        assert!(refused[2].starts_with("there is no policy called `magic`"));
        let after = folder.read::<AsStateFile>().unwrap().unwrap();
        let before = before.unwrap();
        assert_eq!(AsStateFile { seq: before.seq, ..after }, before);
    }
}
