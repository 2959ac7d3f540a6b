//! Keys of the user's own.

use crossterm::event::KeyCode::{self, Char};
use crossterm::event::{KeyEvent, KeyModifiers};

use super::{Action, BINDINGS, Binding};
use crate::config::nearest;
use crate::tui::model::Screen;

/// Keys that a person put in the place of those of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebound(Vec<(Action, KeyCode)>);

impl Rebound {
    /// Reads `launch=L freeze=F5`: the names are those of the palette, a key is a sign or one of
    /// `Space`, `Tab`, `Enter`, `Del` and `F1` to `F12`.
    ///
    /// # Errors
    /// A sentence, for what is no such pair, or where a key would mean two things on one screen.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut rebound = Self::default();
        for pair in text.split_whitespace() {
            let (name, key) = pair.split_once('=').ok_or_else(|| {
                format!("screen.keys: `{pair}` is not NAME=KEY, for example launch=L")
            })?;
            let Some(binding) = BINDINGS.iter().find(|binding| binding.name == name) else {
                let near = nearest(name, BINDINGS.iter().map(|binding| binding.name));
                let near = near.map_or_else(
                    || "`:` on the screen lists them all".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(format!("screen.keys: no action is called `{name}`; {near}"));
            };
            let key = key_of(key).ok_or_else(|| {
                format!("screen.keys: `{key}` is no key: a sign, Space, Tab, Del or F1 to F12")
            })?;
            rebound.0.push((binding.action, key));
        }
        rebound.check()?;
        Ok(rebound)
    }

    fn check(&self) -> Result<(), String> {
        for screen in Screen::ALL {
            let here = || BINDINGS.iter().filter(|binding| binding.applies(screen));
            for (at, binding) in here().enumerate() {
                let twice =
                    |key: &&KeyCode| here().skip(at + 1).any(|b| self.keys(b).contains(key));
                if let Some(key) = self.keys(binding).iter().find(twice) {
                    return Err(format!(
                        "screen.keys: {} would mean two things on the screen {}, one is {}",
                        shown(*key),
                        screen.name(),
                        binding.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// The keys of an action.
    pub(crate) fn keys(&self, binding: &'static Binding) -> &[KeyCode] {
        let own = self.0.iter().rev().find(|(action, _)| *action == binding.action);
        own.map_or(binding.keys, |(_, key)| std::slice::from_ref(key))
    }

    /// The key of an action as it is shown.
    pub(crate) fn shown(&self, binding: &'static Binding) -> String {
        self.keys(binding).first().map(|key| shown(*key)).unwrap_or_default()
    }

    /// What a key asks for on a screen. Ctrl-C leaves, as `q`; no other Ctrl combination does
    /// anything: they lie too close to the keys that move.
    pub(crate) fn action(&self, key: KeyEvent, screen: Screen) -> Option<Action> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == Char('c')).then_some(Action::Leave);
        }
        if key.modifiers.contains(KeyModifiers::ALT) {
            return None;
        }
        BINDINGS
            .iter()
            .find(|binding| binding.applies(screen) && self.keys(binding).contains(&key.code))
            .map(|binding| binding.action)
    }
}

/// A key by its name.
fn key_of(name: &str) -> Option<KeyCode> {
    let mut signs = name.chars();
    if let (Some(sign), None) = (signs.next(), signs.next()) {
        return (!sign.is_control()).then_some(Char(sign));
    }
    match name.to_ascii_lowercase().as_str() {
        "space" => Some(Char(' ')),
        "tab" => Some(KeyCode::Tab),
        "enter" => Some(KeyCode::Enter),
        "del" => Some(KeyCode::Delete),
        other => {
            let number = other.strip_prefix('f')?.parse().ok()?;
            (1..=12).contains(&number).then_some(KeyCode::F(number))
        }
    }
}

fn shown(key: KeyCode) -> String {
    match key {
        Char(' ') => "Space".to_owned(),
        Char(c) => c.to_string(),
        KeyCode::Up => "↑".to_owned(),
        KeyCode::Down => "↓".to_owned(),
        KeyCode::BackTab => "S-Tab".to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::tui::keys::binding;

    #[test]
    fn no_key_means_two_things_on_one_screen_and_no_action_stands_twice() {
        for screen in Screen::ALL {
            let here = BINDINGS.iter().filter(|binding| binding.applies(screen));
            let keys: Vec<_> = here.flat_map(|binding| binding.keys).collect();
            let distinct: HashSet<_> = keys.iter().collect();
            assert_eq!(distinct.len(), keys.len(), "{screen:?}");
        }
        let actions: HashSet<_> = BINDINGS.iter().map(|binding| binding.action).collect();
        assert_eq!(actions.len(), BINDINGS.len());
    }

    #[test]
    fn no_dangerous_key_lies_beside_a_plain_letter_that_moves() {
        let ctrl = |c| KeyEvent::new(Char(c), KeyModifiers::CONTROL);
        for c in ('a'..='z').filter(|c| *c != 'c') {
            assert_eq!(Rebound::default().action(ctrl(c), Screen::Instances), None, "Ctrl-{c}");
        }
        let leaves = Rebound::default().action(ctrl('c'), Screen::Instances);
        assert_eq!(leaves, Some(Action::Leave));
    }

    #[test]
    fn a_key_of_ones_own_takes_the_place_of_the_other_and_never_means_two_things() {
        let plain = |c| KeyEvent::new(c, KeyModifiers::NONE);
        let own = Rebound::read("launch=L freeze=F5").unwrap();
        assert_eq!(own.action(plain(Char('L')), Screen::Cost), Some(Action::Launch));
        assert_eq!(own.action(plain(Char('n')), Screen::Cost), None);
        assert_eq!(own.action(plain(KeyCode::F(5)), Screen::Cost), Some(Action::Freeze));
        assert_eq!(own.shown(binding(Action::Launch).unwrap()), "L");
        let problem = |text| Rebound::read(text).unwrap_err();
        assert!(problem("launch=q").contains("two things"), "{}", problem("launch=q"));
        assert!(problem("lunch=L").contains("no action is called `lunch`; did you mean `launch`?"));
        assert!(problem("xyz=L").contains("`:` on the screen lists them all"));
        assert!(problem("launch").contains("is not NAME=KEY"));
        assert!(problem("launch=Ctrl-L").contains("is no key"));
    }
}
