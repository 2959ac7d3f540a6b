//! How things look: roles instead of colours, and a fallback for terminals that cannot show them.
//!
//! Colour is the exception and never the only sign: every state has its own glyph and word beside
//! it. The hues are those of Okabe and Ito, which people with any kind of colour vision can tell
//! apart (<https://jfly.uni-koeln.de/color/>), as the nearest of the 256 indexed colours.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use super::rows::Status;
use super::verdict::Condition;

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Plain text.
    Text,
    /// Labels and frames.
    Faint,
    /// What is read first.
    Strong,
    /// Keys, curves, what is in motion.
    Accent,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// On its way out.
    Leaving,
    /// The row or tab that is chosen.
    Chosen,
}

/// Which colours there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Palette {
    /// For dark terminals.
    #[default]
    Dark,
    /// For light terminals.
    Light,
    /// No colour at all: bold, faint and reversed only.
    Mono,
}

/// Which signs the terminal's font has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symbols {
    /// Curves in braille dots.
    #[default]
    Braille,
    /// Curves in blocks, for fonts without braille.
    Block,
    /// Nothing but ASCII.
    Ascii,
}

/// How things look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Theme {
    /// Its colours.
    pub palette: Palette,
    /// Its signs.
    pub symbols: Symbols,
}

impl Theme {
    /// The theme for an environment: `NO_COLOR` (<https://no-color.org>) and `TERM=dumb` take the
    /// colours away, a locale without UTF-8 takes everything but ASCII away.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        // The consoles of Linux itself have no braille in their fonts.
        let console = set("TERM").is_some_and(|term| term == "linux");
        Self {
            palette: if set("NO_COLOR").is_some() || dumb { Palette::Mono } else { Palette::Dark },
            symbols: match (utf8, console) {
                (false, _) => Symbols::Ascii,
                (true, true) => Symbols::Block,
                (true, false) => Symbols::Braille,
            },
        }
    }

    /// As a person said: `dark`, `light` or `mono`; `braille`, `block` or `ascii`. `auto` leaves what
    /// the environment says.
    ///
    /// # Errors
    /// A sentence, for any other word.
    pub fn chosen(self, palette: &str, symbols: &str) -> Result<Self, String> {
        let palette = match palette {
            "auto" => self.palette,
            "dark" => Palette::Dark,
            "light" => Palette::Light,
            "mono" => Palette::Mono,
            _ => {
                return Err(format!("screen.theme={palette}: auto, dark, light or mono is needed"));
            }
        };
        let symbols = match symbols {
            "auto" => self.symbols,
            "braille" => Symbols::Braille,
            "block" => Symbols::Block,
            "ascii" => Symbols::Ascii,
            _ => {
                let needed = "auto, braille, block or ascii is needed";
                return Err(format!("screen.symbols={symbols}: {needed}"));
            }
        };
        Ok(Self { palette, symbols })
    }

    /// The next palette.
    pub(crate) fn next(self) -> Self {
        let palette = match self.palette {
            Palette::Dark => Palette::Light,
            Palette::Light => Palette::Mono,
            Palette::Mono => Palette::Dark,
        };
        Self { palette, ..self }
    }

    /// How a role looks.
    pub(crate) fn style(self, role: Role) -> Style {
        let plain = Style::new();
        let colour = |dark: u8, light: u8| match self.palette {
            Palette::Dark => plain.fg(Color::Indexed(dark)),
            Palette::Light => plain.fg(Color::Indexed(light)),
            Palette::Mono => plain,
        };
        match role {
            Role::Text => plain,
            Role::Faint => match self.palette {
                Palette::Mono => plain.add_modifier(Modifier::DIM),
                _ => colour(245, 242),
            },
            Role::Strong => plain.add_modifier(Modifier::BOLD),
            Role::Accent => colour(74, 25),
            Role::Good => colour(36, 29),
            Role::Warn => colour(214, 130).add_modifier(Modifier::BOLD),
            Role::Bad => colour(166, 160).add_modifier(Modifier::BOLD),
            Role::Leaving => colour(175, 126),
            Role::Chosen => match self.palette {
                Palette::Dark => plain.bg(Color::Indexed(238)).add_modifier(Modifier::BOLD),
                Palette::Light => plain.bg(Color::Indexed(253)).add_modifier(Modifier::BOLD),
                Palette::Mono => plain.add_modifier(Modifier::REVERSED),
            },
        }
    }
}

/// The role of a VM's state.
pub(crate) fn of_status(status: Status) -> Role {
    match status {
        Status::Running => Role::Good,
        Status::Booting | Status::Wanted => Role::Accent,
        Status::Draining => Role::Leaving,
        Status::Silent => Role::Warn,
        Status::Dead => Role::Bad,
        Status::Terminated => Role::Faint,
    }
}

/// The role of a verdict.
pub(crate) fn of_condition(condition: Condition) -> Role {
    match condition {
        Condition::Healthy => Role::Good,
        Condition::Scaling | Condition::Starting => Role::Accent,
        Condition::Degraded | Condition::Stale => Role::Warn,
        Condition::Failed => Role::Bad,
        Condition::Stopped | Condition::Empty => Role::Faint,
    }
}

/// The role of a share of CPU against the levels that the policy goes by, the highest last.
pub(crate) fn of_cpu(share: f64, marks: &[f64]) -> Role {
    if share >= 0.9 {
        Role::Bad
    } else if marks.last().is_some_and(|high| share > high * 1.1) {
        Role::Warn
    } else {
        Role::Text
    }
}

/// Replaces every sign that is not ASCII by one that is. Widgets need not know of it.
pub(crate) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if !symbol.is_ascii() {
            let ascii = ascii(symbol);
            cell.set_symbol(ascii);
        }
    }
}

/// The ASCII sign that says the same.
fn ascii(symbol: &str) -> &'static str {
    match symbol {
        "─" | "—" | "–" | "┄" | "▃" | "▄" => "-",
        "│" | "┤" | "├" => "|",
        "╭" | "╮" | "╰" | "╯" | "◔" | "✓" => "+",
        "●" | "◆" => "*",
        "○" => "o",
        "◐" => "~",
        "✖" | "✗" | "×" => "x",
        "▼" | "↓" => "v",
        "▲" | "↑" => "^",
        "▶" | "▸" | "›" | "→" | "▌" => ">",
        "←" => "<",
        "·" | "•" | "…" | "░" => ".",
        "▁" | "▂" => "_",
        "▅" | "▆" | "▒" | "━" => "=",
        "▇" | "█" | "▓" => "#",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(variables: &[(&str, &str)]) -> Theme {
        Theme::of_environment(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_decides_on_colours_and_signs() {
        assert_eq!(theme(&[]), Theme::default());
        assert_eq!(theme(&[("NO_COLOR", "1")]).palette, Palette::Mono);
        assert_eq!(theme(&[("NO_COLOR", "")]).palette, Palette::Dark);
        assert_eq!(theme(&[("TERM", "dumb")]).palette, Palette::Mono);
        assert_eq!(theme(&[("LANG", "C")]).symbols, Symbols::Ascii);
        assert_eq!(theme(&[("LANG", "C"), ("LC_ALL", "C.UTF-8")]).symbols, Symbols::Braille);
        assert_eq!(theme(&[("LANG", "de_DE.utf8"), ("TERM", "linux")]).symbols, Symbols::Block);
    }

    #[test]
    fn what_a_person_says_goes_before_the_environment() {
        let theme = theme(&[("NO_COLOR", "1")]);
        assert_eq!(theme.chosen("auto", "auto").unwrap(), theme);
        let chosen = theme.chosen("light", "block").unwrap();
        assert_eq!(chosen, Theme { palette: Palette::Light, symbols: Symbols::Block });
        assert!(theme.chosen("pink", "auto").unwrap_err().contains("dark, light or mono"));
        assert!(theme.chosen("auto", "runes").is_err());
    }

    #[test]
    fn without_colour_every_role_that_must_stand_out_still_does() {
        let mono = Theme { palette: Palette::Mono, symbols: Symbols::Ascii };
        for role in [Role::Warn, Role::Bad, Role::Chosen, Role::Strong] {
            let style = mono.style(role);
            assert!(style.fg.is_none() && style.bg.is_none(), "{role:?}");
            assert!(!style.add_modifier.is_empty(), "{role:?}");
        }
    }
}
