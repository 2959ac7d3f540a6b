//! Frames: each screen at three sizes, and any model at any size.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Modifier;

use super::draw;
use crate::tui::fixture::{many, model, scaling, stale};
use crate::tui::model::{Model, Screen};
use crate::tui::news::News;
use crate::tui::theme::{Palette, Symbols, Theme};
use crate::tui::update::{Message, update};

fn frame(model: &mut Model, width: u16, height: u16) -> TestBackend {
    update(model, Message::Resize(width, height));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(model, frame)).unwrap();
    terminal.backend().clone()
}

fn press(model: &mut Model, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '⏎' => KeyCode::Enter,
            '⎋' => KeyCode::Esc,
            '↓' => KeyCode::Down,
            '↑' => KeyCode::Up,
            key => KeyCode::Char(key),
        };
        update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
}

#[test]
fn every_screen_at_three_sizes() {
    for (number, screen) in Screen::ALL.into_iter().enumerate() {
        let mut model = model(scaling());
        press(&mut model, &(number + 1).to_string());
        for (width, height) in [(120, 40), (80, 24), (40, 8)] {
            // Below 60 columns all screens are the same few lines.
            if width == 40 && screen != Screen::Overview {
                continue;
            }
            let name = format!("{}-{width}x{height}", screen.name().to_lowercase());
            insta::assert_snapshot!(name, frame(&mut model, width, height));
        }
    }
}

#[test]
fn what_lies_over_a_screen() {
    let cases = [
        ("help", "?"),
        ("palette", ":lau"),
        ("menu", "2a"),
        ("confirm", "2↓↓K"),
        ("filter", "/cpu>70"),
        ("fire", "3F↓"),
        ("policy", "4P"),
        ("request", "3⏎"),
        ("request-filter", "3/blur vm-4⏎"),
        ("refresh", "R"),
        ("shrink", ":set-desired 2⏎"),
        ("image", "2↓I"),
        ("limits", ":limits 1 6⏎"),
    ];
    for (name, keys) in cases {
        let mut model = model(scaling());
        press(&mut model, keys);
        for (width, height) in [(120, 40), (80, 24)] {
            let name = format!("{name}-{width}x{height}");
            insta::assert_snapshot!(name, frame(&mut model, width, height));
        }
    }
}

/// Every cell's look as a letter: what is coloured, and that no colour stands where none should.
fn looks(backend: &TestBackend) -> String {
    let (mut known, mut text) = (Vec::new(), String::new());
    let buffer = backend.buffer();
    for row in buffer.content.chunks(usize::from(buffer.area.width)) {
        let letters = row.iter().map(|cell| {
            let look = (cell.fg, cell.bg, cell.modifier);
            let at = known.iter().position(|other| *other == look).unwrap_or_else(|| {
                known.push(look);
                known.len() - 1
            });
            char::from(b'a' + u8::try_from(at).unwrap())
        });
        text.push_str(&letters.collect::<String>());
        text.push('\n');
    }
    let legend = ('a'..).zip(&known).map(|(letter, look)| format!("{letter} {look:?}\n"));
    text.extend(legend);
    text
}

#[test]
fn looks_of_a_screen_in_each_palette() {
    for (name, palette) in
        [("dark", Palette::Dark), ("light", Palette::Light), ("mono", Palette::Mono)]
    {
        let mut model = model(scaling());
        model.theme.palette = palette;
        insta::assert_snapshot!(format!("looks-{name}-80x24"), looks(&frame(&mut model, 80, 24)));
    }
}

#[test]
fn leaving_the_cluster_that_the_screen_belongs_to() {
    let mut model = model(scaling());
    model.options.in_up = true;
    press(&mut model, "q");
    insta::assert_snapshot!("leave-80x24", frame(&mut model, 80, 24));
}

#[test]
fn states_that_are_screens_of_their_own() {
    let empty = News { at: crate::tui::fixture::now(), ..News::default() };
    insta::assert_snapshot!("empty-80x24", frame(&mut model(empty.clone()), 80, 24));
    insta::assert_snapshot!("stale-80x24", frame(&mut model(stale()), 80, 24));
    let starting = News { cluster: scaling().cluster, ..empty };
    insta::assert_snapshot!("starting-80x24", frame(&mut model(starting.clone()), 80, 24));
    let mut failed = starting;
    failed.cluster.as_mut().unwrap().alive = false;
    insta::assert_snapshot!("failed-80x24", frame(&mut model(failed), 80, 24));
}

#[test]
fn in_ascii_no_frame_has_another_sign() {
    for number in 1..=6 {
        let mut model = model(scaling());
        model.theme = Theme { palette: Palette::Mono, symbols: Symbols::Ascii };
        press(&mut model, &number.to_string());
        let backend = frame(&mut model, 120, 40);
        let odd = backend.buffer().content.iter().find(|cell| !cell.symbol().is_ascii());
        assert_eq!(odd, None);
        if number == 1 {
            insta::assert_snapshot!("ascii-80x24", frame(&mut model, 80, 24));
        }
    }
}

#[test]
fn without_colour_no_cell_has_one_and_the_chosen_row_still_shows() {
    let mut model = model(scaling());
    model.theme.palette = Palette::Mono;
    let backend = frame(&mut model, 120, 40);
    let cells = &backend.buffer().content;
    let plain = ratatui::style::Color::Reset;
    assert!(cells.iter().all(|cell| cell.fg == plain && cell.bg == plain));
    assert!(cells.iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
}

#[test]
fn a_chosen_row_is_on_the_screen_however_far_down_it_is() {
    let mut model = model(many(500));
    model.size = (80, 24);
    press(&mut model, "2G");
    let shown = frame(&mut model, 80, 24).to_string();
    assert!(shown.contains("▌ vm-500"), "{shown}");
}

fn any_news() -> impl Strategy<Value = News> {
    (0..6_u8, 0..40_u64, any::<[bool; 8]>()).prop_map(|(kind, number, drop)| {
        let mut news = match kind {
            0 => News { at: crate::tui::fixture::now(), ..News::default() },
            1 => stale(),
            2 => many(number),
            _ => scaling(),
        };
        let [vm, orders, balancer, cluster, samples, events, metrics, broken] = drop;
        news.vm_state = news.vm_state.filter(|_| !vm);
        news.as_state = news.as_state.filter(|_| !orders);
        news.lb_state = news.lb_state.filter(|_| !balancer);
        news.cluster = news.cluster.filter(|_| !cluster);
        news.samples.retain(|_| !samples);
        news.events.retain(|_| !events);
        news.metrics.retain(|_| !metrics);
        if let Some(word) = news.vm_state.as_mut().filter(|_| broken) {
            word.problem = Some("state/VMState.xml:3:7: `cpuu` is not a number".to_owned());
        }
        news
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_model_draws_at_any_size(
        news in any_news(),
        keys in "[1-6a-zA-Z:?/+ \\-=⏎⎋↓↑]{0,12}",
        width in 1_u16..200,
        height in 1_u16..60,
        symbols in prop_oneof![
            Just(Symbols::Braille), Just(Symbols::Block), Just(Symbols::Ascii)
        ],
        options in any::<[bool; 2]>(),
    ) {
        let mut model = model(news);
        model.theme.symbols = symbols;
        [model.options.read_only, model.options.in_up] = options;
        press(&mut model, &keys);
        let backend = frame(&mut model, width, height);
        // Unless something lies over it, the first line says how the cluster is.
        if model.dialog.is_none() && width >= 12 {
            let width = usize::from(width);
            let cells = backend.buffer().content.iter().take(width);
            let first = cells.map(ratatui::buffer::Cell::symbol).collect::<String>();
            let word = crate::tui::verdict::judge(model.shown()).condition.as_str();
            prop_assert!(first.contains(word), "{first}");
        }
    }
}
