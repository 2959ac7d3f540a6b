//! The live screen: waits for keys and news, updates the model, draws it, does the effects.

mod held;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossterm::event::{
    DisableMouseCapture, EnableMouseCapture, Event, EventStream, KeyEventKind, MouseEventKind,
};
use futures_util::StreamExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::DefaultTerminal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::held::{Panic, fall_silent, give_back, take_over};
use super::data::Known;
use super::fire::{Fire, MakeImage};
use super::format::since;
use super::keys::Rebound;
use super::model::{Model, Options};
use super::news::News;
use super::source::Source;
use super::theme::Theme;
use super::update::{Effect, Message, update};
use super::{effects, view};
use crate::config;
use crate::operator::Volley;
use crate::state::StateFolder;

/// Between two frames: ten a second are enough for numbers, and leave the machine to the VMs.
const FRAME: Duration = Duration::from_millis(100);
/// How often clocks and ages move on when nothing else does.
const TICK: Duration = Duration::from_secs(1);
/// The longest pause of a replay: nobody waits for what did not happen.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How the screen is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The settings in force: report period, prices, cooldowns.
    pub config: config::Settings,
    /// Nothing can be done, only looked at.
    pub read_only: bool,
    /// The screen belongs to `cumulet up`: leaving it asks whether to stop the cluster.
    pub in_up: bool,
    /// Colours and signs; [`Theme::of_environment`] finds out.
    pub theme: Theme,
    /// Keys of the user's own.
    pub keys: Rebound,
    /// Where everything that reaches the screen is recorded, for [`replay`].
    pub record: Option<PathBuf>,
    /// How requests are fired at the cluster.
    pub fire: Fire,
    /// How an image is made of a VM.
    pub make_image: MakeImage,
}

/// How the screen was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The cluster is to run on.
    Left,
    /// The user said that the cluster is to stop.
    StopCluster,
}

/// Shows a cluster until the user leaves or `stop` is cancelled. The terminal is given back as it
/// was in any case, also on a panic. Needs a terminal on stdout.
///
/// # Errors
/// If there is no terminal, the folder cannot be watched, or the recording cannot be written.
pub async fn run(
    settings: Settings,
    folder: StateFolder,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let record = settings.record.as_deref().map(create).transpose()?;
    let mut source = Source::start(&folder).context("cannot watch the state folder")?;
    let mut model = model(&settings, Timestamp::now());
    let first = source.look(Timestamp::now());
    let (sender, news) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    sender.try_send(first).context("the first look was not taken in")?;
    tasks.spawn(watch(source, sender));
    let feed = Feed { news, clock: true, record };
    let reach = Reach { folder, fire: settings.fire, make_image: settings.make_image };
    Screen::open(feed, Some(reach))?.show(&mut model, &stop).await
}

/// Shows a recording at the pace at which it was made, until the user leaves. Nothing can be done
/// from there.
///
/// # Errors
/// If there is no terminal, or the file is not a recording: with the line that is not.
pub async fn replay(
    settings: Settings,
    file: &Path,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let recording = read_recording(file)?;
    let begin = recording.first().map_or(Timestamp::UNIX_EPOCH, |news| news.at);
    let settings = Settings { read_only: true, in_up: false, record: None, ..settings };
    let mut model = model(&settings, begin);
    let (sender, news) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(play(recording, sender));
    let feed = Feed { news, clock: false, record: None };
    Screen::open(feed, None)?.show(&mut model, &stop).await
}

pub(super) fn model(settings: &Settings, now: Timestamp) -> Model {
    let known = Known::of(&settings.config, TimeZone::system());
    let options = Options { read_only: settings.read_only, in_up: settings.in_up };
    let mut model = Model::new(Arc::new(known), now, options, settings.theme);
    model.rebound = settings.keys.clone();
    model
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot record into {}", path.display()))
}

/// Looks whenever there may be something new, away from the tasks that must not wait for files.
async fn watch(mut source: Source, sender: mpsc::Sender<News>) {
    loop {
        source.changed().await;
        let looked = tokio::task::spawn_blocking(move || {
            let news = source.look(Timestamp::now());
            (source, news)
        });
        // An error means that the runtime shuts down.
        let Ok((again, news)) = looked.await else { return };
        source = again;
        if !news.is_empty() && sender.send(news).await.is_err() {
            return;
        }
    }
}

pub(super) fn read_recording(path: &Path) -> anyhow::Result<Vec<News>> {
    let said = || format!("cannot read {}", path.display());
    let file = BufReader::new(File::open(path).with_context(said)?);
    let mut recording = Vec::new();
    for (number, line) in file.lines().enumerate() {
        let news = News::from_json(&line.with_context(said)?)
            .with_context(|| format!("{}:{}: not a recording", path.display(), number + 1))?;
        recording.push(news);
    }
    anyhow::ensure!(!recording.is_empty(), "{} holds no recording", path.display());
    Ok(recording)
}

async fn play(recording: Vec<News>, sender: mpsc::Sender<News>) {
    let mut before: Option<Timestamp> = None;
    for news in recording {
        let pause = before.map_or(Duration::ZERO, |before| since(news.at, before));
        before = Some(news.at);
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        if sender.send(news).await.is_err() {
            return;
        }
    }
    // The last picture stays until the user leaves.
    sender.closed().await;
}

/// Where news come from.
struct Feed {
    news: mpsc::Receiver<News>,
    /// Time runs on between news: they tell of now.
    clock: bool,
    record: Option<File>,
}

impl Feed {
    fn record(&mut self, news: &News) -> anyhow::Result<()> {
        let Some(file) = &mut self.record else { return Ok(()) };
        writeln!(file, "{}", news.to_json()?).context("cannot write the recording")
    }
}

/// What the keys can reach; a recording has nothing of it.
struct Reach {
    folder: StateFolder,
    fire: Fire,
    make_image: MakeImage,
}

/// A terminal that is taken over, and given back when this is dropped.
struct Screen {
    /// Never dropped: what it does then is done by [`give_back`], which bears a terminal that is
    /// gone. It would print that it cannot show the cursor, and panic where nobody reads stderr.
    terminal: ManuallyDrop<DefaultTerminal>,
    panic: Panic,
    keys: EventStream,
    feed: Feed,
    reach: Option<Reach>,
    /// Volleys on their way; whatever has not come back when the screen is left is given up.
    volleys: JoinSet<()>,
    done: (mpsc::UnboundedSender<Message>, mpsc::UnboundedReceiver<Message>),
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.panic.give_back_once();
        if !io::stdin().is_terminal() {
            fall_silent();
        }
    }
}

impl Screen {
    fn open(feed: Feed, reach: Option<Reach>) -> anyhow::Result<Self> {
        let panic = Panic::watch();
        let terminal = take_over().inspect_err(|_| give_back());
        let terminal = ManuallyDrop::new(terminal.context("cannot take over the terminal")?);
        let (keys, done) = (EventStream::new(), mpsc::unbounded_channel());
        let volleys = JoinSet::new();
        Ok(Self { terminal, panic, keys, feed, reach, volleys, done })
    }

    async fn show(
        mut self,
        model: &mut Model,
        stop: &CancellationToken,
    ) -> anyhow::Result<Outcome> {
        if let Some(news) = self.feed.news.recv().await {
            self.feed.record(&news)?;
            update(model, Message::News(Box::new(news)));
        }
        let size = self.terminal.size().context("cannot ask for the size of the terminal")?;
        update(model, Message::Resize(size.width, size.height));
        self.terminal.draw(|frame| view::draw(model, frame))?;
        let mut drawn = Instant::now();
        let mut stale = false;
        let panic = self.panic.clone();
        loop {
            let wait = if stale { FRAME.saturating_sub(drawn.elapsed()) } else { TICK };
            let message = tokio::select! {
                biased;
                () = panic.over.cancelled() => {
                    panic.told.cancelled().await;
                    anyhow::bail!("a part of the program panicked: see above");
                }
                () = stop.cancelled() => return Ok(Outcome::Left),
                message = self.next() => message?,
                () = tokio::time::sleep(wait) => None,
            };
            let idle = message.is_none() && !stale;
            let message = match message {
                None if idle && self.feed.clock => {
                    Some(Message::News(Box::new(News { at: Timestamp::now(), ..News::default() })))
                }
                message => message,
            };
            if let Some(message) = message {
                stale = true;
                if let Some(outcome) = self.take(model, message)? {
                    return Ok(outcome);
                }
            }
            if stale && drawn.elapsed() >= FRAME {
                self.terminal.draw(|frame| view::draw(model, frame))?;
                drawn = Instant::now();
                stale = false;
            }
        }
    }

    /// The next thing that happens; nothing for a key that was let go, for example.
    async fn next(&mut self) -> anyhow::Result<Option<Message>> {
        tokio::select! {
            biased;
            event = self.keys.next() => match event {
                Some(event) => Ok(message_of(&event.context("cannot read keys")?)),
                None => anyhow::bail!("the terminal is gone"),
            },
            message = self.done.1.recv() => Ok(message),
            Some(news) = self.feed.news.recv() => {
                self.feed.record(&news)?;
                Ok(Some(Message::News(Box::new(news))))
            }
        }
    }

    fn take(&mut self, model: &mut Model, message: Message) -> anyhow::Result<Option<Outcome>> {
        let Some(effect) = update(model, message) else { return Ok(None) };
        match &effect {
            Effect::Leave { stop: true } => return Ok(Some(Outcome::StopCluster)),
            Effect::Leave { stop: false } => return Ok(Some(Outcome::Left)),
            Effect::Mouse(true) => crossterm::execute!(io::stdout(), EnableMouseCapture)?,
            Effect::Mouse(false) => crossterm::execute!(io::stdout(), DisableMouseCapture)?,
            Effect::Copy(text) => {
                let result = effects::copy(&mut io::stdout(), text);
                update(model, Message::Done(result));
            }
            Effect::Save => {
                let frame = self.terminal.draw(|frame| view::draw(model, frame))?;
                let at = model.live.now.to_zoned(model.live.known.zone.clone());
                let name = model.screen.name().to_ascii_lowercase();
                let name = format!("cumulet-{name}-{}.txt", at.strftime("%Y%m%d-%H%M%S"));
                let result = effects::save(frame.buffer, Path::new("."), &name);
                update(model, Message::Done(result));
            }
            Effect::Fire(volley) => self.fire(*volley),
            _ => self.operate(effect),
        }
        Ok(None)
    }

    /// Fires requests and tells what comes of them, while the screen goes on.
    fn fire(&mut self, volley: Volley) {
        let Some(reach) = &self.reach else { return };
        let (told, sender) = (self.done.0.clone(), self.done.0.clone());
        let tell = move |text| {
            // Without a screen there is nobody to tell.
            let _told = told.send(Message::Done(Ok(text)));
        };
        let firing = reach.fire.fire(volley, Box::new(tell));
        self.volleys.spawn(async move {
            let _told = sender.send(Message::Done(firing.await));
        });
    }

    /// Does it away from the screen: files and locks may take their time.
    fn operate(&self, effect: Effect) {
        let Some(reach) = &self.reach else { return };
        let (folder, sender) = (reach.folder.clone(), self.done.0.clone());
        let make_image = reach.make_image.clone();
        tokio::task::spawn_blocking(move || {
            let done = match &effect {
                Effect::MakeImage(name, target) => Some(make_image.make(name, &target.id)),
                effect => effects::operate(&folder, effect),
            };
            if let Some(result) = done {
                // Without a screen there is nobody to tell; it is in the log of events.
                let _told = sender.send(Message::Done(result));
            }
        });
    }
}

fn message_of(event: &Event) -> Option<Message> {
    match event {
        // Some terminals tell of keys that are let go as well.
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Message::Key(*key)),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::ScrollUp => Some(Message::Wheel { up: true }),
            MouseEventKind::ScrollDown => Some(Message::Wheel { up: false }),
            _ => None,
        },
        Event::Resize(width, height) => Some(Message::Resize(*width, *height)),
        _ => None,
    }
}
