//! One screen as a picture, without a terminal.

use std::path::Path;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::model::{Model, Screen};
use super::news::News;
use super::terminal::{Settings, model, read_recording};
use super::update::{Message, update};
use super::{source, svg, view};
use crate::state::StateFolder;

/// What the picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    screen: Screen,
    size: (u16, u16),
}

impl Shot {
    /// A screen by its name, and the columns and rows of the terminal.
    ///
    /// # Errors
    /// A sentence with what there is.
    pub fn of(screen: &str, (width, height): (u16, u16)) -> Result<Self, String> {
        let found = Screen::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(screen));
        let Some(screen) = found else {
            let names = Screen::ALL.map(|screen| screen.name().to_ascii_lowercase()).join(", ");
            return Err(format!("no screen is called `{screen}`; there are {names}"));
        };
        if !(20..=400).contains(&width) || !(5..=200).contains(&height) {
            return Err(format!("{width}x{height}: 20x5 to 400x200 columns and rows are needed"));
        }
        Ok(Self { screen, size: (width, height) })
    }
}

/// A cluster as it is now, as SVG.
///
/// # Errors
/// If a file of lines cannot be read.
pub fn of_cluster(settings: &Settings, folder: &StateFolder, shot: Shot) -> anyhow::Result<String> {
    Stage::of_cluster(settings, folder, shot)?.svg()
}

/// A recording as it ends, as SVG.
///
/// # Errors
/// If the file is not a recording.
pub fn of_recording(settings: &Settings, file: &Path, shot: Shot) -> anyhow::Result<String> {
    let recording = read_recording(file)?;
    let begin = recording.first().map_or(Timestamp::UNIX_EPOCH, |news| news.at);
    Stage::new(model(settings, begin), recording, shot)?.svg()
}

/// The screen without a terminal: it takes keys and draws frames that nobody sees.
pub struct Stage {
    model: Model,
    terminal: Terminal<TestBackend>,
}

impl Stage {
    /// The screen of a cluster as it is now.
    ///
    /// # Errors
    /// If a file of lines cannot be read.
    pub fn of_cluster(
        settings: &Settings,
        folder: &StateFolder,
        shot: Shot,
    ) -> anyhow::Result<Self> {
        let now = Timestamp::now();
        Self::new(model(settings, now), vec![source::read_once(folder, now)?], shot)
    }

    fn new(mut model: Model, news: Vec<News>, shot: Shot) -> anyhow::Result<Self> {
        for news in news {
            update(&mut model, Message::News(Box::new(news)));
        }
        let (width, height) = shot.size;
        update(&mut model, Message::Resize(width, height));
        model.screen = shot.screen;
        Ok(Self { model, terminal: Terminal::new(TestBackend::new(width, height))? })
    }

    /// Takes a key; what it asks of the world is not done.
    pub fn press(&mut self, key: char) {
        let key = KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE);
        update(&mut self.model, Message::Key(key));
    }

    /// Draws a frame.
    ///
    /// # Errors
    /// None that can be met: nothing is written anywhere.
    pub fn draw(&mut self) -> anyhow::Result<()> {
        self.terminal.draw(|frame| view::draw(&self.model, frame))?;
        Ok(())
    }

    fn svg(&mut self) -> anyhow::Result<String> {
        let frame = self.terminal.draw(|frame| view::draw(&self.model, frame))?;
        Ok(svg::svg(frame.buffer))
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stage")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::{model, scaling};

    #[test]
    fn a_picture_shows_the_screen_that_was_asked_for() {
        let shot = Shot::of("autoscaler", (120, 40)).unwrap();
        let svg = Stage::new(model(scaling()), Vec::new(), shot).unwrap().svg().unwrap();
        assert!(svg.contains("Decisions") && svg.contains("SCALING"), "{svg}");
        assert!(Shot::of("chart", (120, 40)).unwrap_err().contains("overview, instances"));
        assert!(Shot::of("cost", (1, 1)).is_err());
    }
}
