//! Keys and what they may do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;

use super::*;
use crate::domain::cost::Kind;
use crate::domain::vm::VmId;
use crate::tui::fixture::{many, model, now, order, scaling};
use crate::tui::model::Options;
use crate::tui::sort::RequestSort;

fn key(code: KeyCode) -> Message {
    Message::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

/// What the keys ask of the world; without a dialog `y` copies the row, which is left out.
fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let codes = keys.chars().map(|c| match c {
        '⏎' => KeyCode::Enter,
        '⎋' => KeyCode::Esc,
        '↓' => KeyCode::Down,
        '↑' => KeyCode::Up,
        c => KeyCode::Char(c),
    });
    codes
        .filter_map(|code| update(model, key(code)))
        .filter(|effect| !matches!(effect, Effect::Copy(_)))
        .collect()
}

fn vm(number: u64) -> Target {
    Target { id: VmId::numbered(number), pid: Some(u32::try_from(41_200 + number).unwrap()) }
}

#[test]
fn y_kills_the_vm_that_was_chosen_and_enter_does_not() {
    let mut model = model(scaling());
    assert_eq!(press(&mut model, "↓↓K⏎"), []);
    assert_eq!(press(&mut model, "Kn"), []);
    assert_eq!(press(&mut model, "K⎋"), []);
    assert_eq!(press(&mut model, "Ky"), [Effect::Inflict(vm(4), Fault::Kill)]);
}

#[test]
fn a_dialog_keeps_its_vm_when_the_table_moves_and_refuses_when_the_vm_is_another() {
    let mut model = model(scaling());
    press(&mut model, "↓↓K");
    press(&mut model, "s");
    let mut later = scaling();
    let mut file = (**later.vm_state.as_ref().unwrap().document.as_ref().unwrap()).clone();
    file.vms.reverse();
    later.vm_state.as_mut().unwrap().document = Some(std::sync::Arc::new(file.clone()));
    update(&mut model, Message::News(Box::new(later.clone())));
    assert_eq!(press(&mut model, "y"), [Effect::Inflict(vm(4), Fault::Kill)]);

    press(&mut model, "K");
    file.vms.iter_mut().find(|report| report.id == VmId::numbered(4)).unwrap().pid = 999;
    later.vm_state.as_mut().unwrap().document = Some(std::sync::Arc::new(file));
    update(&mut model, Message::News(Box::new(later)));
    assert_eq!(press(&mut model, "y"), []);
    let notice = model.notice.unwrap();
    assert!(notice.bad && notice.text.contains("vm-4 (pid 41204) already ended"), "{notice:?}");
}

#[test]
fn the_choice_follows_the_vm_and_falls_to_its_neighbour_when_it_goes() {
    let mut model = model(scaling());
    press(&mut model, "↓↓");
    assert_eq!(chosen(&model).unwrap().0, vm(4));
    // By state, then by cpu, the largest first: the place changes, the VM does not.
    press(&mut model, "ss");
    assert_eq!(chosen(&model).unwrap().0, vm(4));
    press(&mut model, "sssssss");
    let mut without = scaling();
    let mut file = (**without.vm_state.as_ref().unwrap().document.as_ref().unwrap()).clone();
    file.vms.retain(|report| report.id != VmId::numbered(4));
    without.vm_state.as_mut().unwrap().document = Some(std::sync::Arc::new(file));
    let mut orders = (**without.as_state.as_ref().unwrap().document.as_ref().unwrap()).clone();
    orders.vms.retain(|order| order.id != VmId::numbered(4));
    without.as_state.as_mut().unwrap().document = Some(std::sync::Arc::new(orders));
    update(&mut model, Message::News(Box::new(without)));
    assert_eq!(chosen(&model).unwrap().0, vm(5));
    // And stays there, although the VM before it comes back.
    update(&mut model, Message::News(Box::new(scaling())));
    assert_eq!(chosen(&model).unwrap().0, vm(5));
}

#[test]
fn every_letter_is_a_letter_while_something_is_typed() {
    let mut model = model(scaling());
    assert_eq!(press(&mut model, "/qKy"), []);
    assert_eq!(model.vm_filter, "qKy");
    assert_eq!(press(&mut model, "⎋"), []);
    assert_eq!(model.vm_filter, "");
    assert_eq!(press(&mut model, ":Qdx⎋"), []);
}

#[test]
fn the_palette_does_what_the_command_line_does_and_asks_as_the_keys_do() {
    let mut model = model(scaling());
    assert_eq!(press(&mut model, ":launch c5.large⏎"), [Effect::Launch(Some("c5.large".into()))]);
    let web = Effect::LaunchFrom("web".parse().unwrap());
    assert_eq!(press(&mut model, ":launch image web⏎"), [web]);
    assert_eq!(press(&mut model, ":launch c5.huge⏎"), []);
    assert!(model.notice.as_ref().unwrap().text.contains("t3.micro"));
    assert_eq!(press(&mut model, ":kill vm-2⏎"), []);
    assert_eq!(press(&mut model, "y"), [Effect::Inflict(vm(2), Fault::Kill)]);
    assert_eq!(press(&mut model, ":terminate vm-6⏎y"), [Effect::Drain(vm(6))]);
    assert_eq!(press(&mut model, ":kill vm-99⏎y"), []);
}

#[test]
fn what_the_command_line_can_the_keys_and_the_palette_can() {
    let mut model = model(scaling());
    assert_eq!(press(&mut model, "↓o"), [Effect::Protect(VmId::numbered(2), true)]);
    let protect = Effect::Protect(VmId::numbered(6), true);
    assert_eq!(press(&mut model, ":protect vm-6⏎"), [protect]);
    // What is in force stands there already: 5.
    assert_eq!(press(&mut model, "D0⏎"), [Effect::SetDesired(50)]);
    assert_eq!(press(&mut model, ":set-desired 5⏎"), [Effect::SetDesired(5)]);
    assert_eq!(press(&mut model, ":set-desired many⏎"), []);
    assert!(model.notice.as_ref().unwrap().text.contains("set-desired 5"));
    let by_turns = Effect::BalanceBy(crate::domain::balancing::Policy::RoundRobin);
    assert_eq!(press(&mut model, "3Bround-robin⏎"), [by_turns]);
    assert_eq!(press(&mut model, ":balancing by-luck⏎"), []);
    assert!(model.notice.as_ref().unwrap().text.contains("round-robin"));
    assert_eq!(press(&mut model, ":restart-balancer⏎"), [Effect::RestartBalancer]);
    let image = |vm_number| Effect::MakeImage("web".parse().unwrap(), vm(vm_number));
    assert_eq!(press(&mut model, "2Iweb⏎"), [image(2)]);
    assert_eq!(press(&mut model, ":image vm-4 web⏎"), [image(4)]);
    assert_eq!(press(&mut model, ":image vm-4 a/b⏎"), []);
    let effects = press(&mut model, ":limits 1 6⏎⏎");
    let [Effect::Steer(steering)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((steering.policy.as_str(), steering.limits), ("target-tracking", Some((1, 6))));
}

#[test]
fn a_wish_that_ends_vms_is_asked_about_and_one_that_only_stops_a_wish_is_not() {
    let mut model = model(scaling());
    let refresh = |share| Effect::Refresh(Share::saturating(share));
    assert_eq!(press(&mut model, "R⏎"), []);
    assert_eq!(press(&mut model, "Ry"), [refresh(0.25)]);
    assert_eq!(press(&mut model, ":refresh 50%⏎"), []);
    assert_eq!(press(&mut model, "y"), [refresh(0.5)]);
    assert_eq!(press(&mut model, ":refresh 0⏎y"), []);
    assert_eq!(press(&mut model, ":set-desired 3⏎⏎"), []);
    assert_eq!(press(&mut model, ":set-desired 3⏎y"), [Effect::SetDesired(3)]);
    let mut file = (**model.live.as_state.document.as_ref().unwrap()).clone();
    file.refresh = Some(Refresh { before: now(), share: Share::saturating(0.25) });
    model.live.as_state.document = Some(std::sync::Arc::new(file));
    assert_eq!(press(&mut model, "R"), [Effect::StopRefresh]);
}

#[test]
fn the_bill_of_a_large_fleet_is_scrolled() {
    let mut model = model(many(50));
    press(&mut model, "6↓↓↑");
    assert_eq!(model.places.cost, 1);
    press(&mut model, "gG");
    assert!(model.places.cost >= 49);
}

#[test]
fn a_frozen_picture_stands_still_while_time_goes_on() {
    let mut model = model(scaling());
    press(&mut model, " ");
    let mut later = many(3);
    later.at = now().checked_add(std::time::Duration::from_secs(30)).unwrap();
    update(&mut model, Message::News(Box::new(later)));
    assert_eq!(model.shown().reports().len(), 6);
    press(&mut model, " ");
    assert_eq!(model.shown().reports().len(), 3);
}

#[test]
fn events_are_followed_only_at_their_end() {
    let mut model = model(scaling());
    press(&mut model, "5↑↑");
    let held = crate::tui::events_list::last_shown_event(&model).cloned();
    let mut later = News { events: scaling().events, ..News::default() };
    later.at = now();
    update(&mut model, Message::News(Box::new(later)));
    assert_eq!(crate::tui::events_list::last_shown_event(&model).cloned(), held);
    press(&mut model, "G");
    assert_eq!(model.places.event, None);
}

#[test]
fn read_only_reaches_nothing() {
    let mut model = model(scaling());
    model.options = Options { read_only: true, in_up: true };
    for keys in [
        "n",
        "dy",
        "Ky",
        "zy",
        "Z",
        "p",
        "fF⏎",
        "4P⏎1",
        "Qy",
        "ady",
        "a⏎y",
        ":launch⏎",
        ":kill vm-1⏎y",
        "o",
        "Ry",
        "D1⏎y",
        ":limits 1 2⏎⏎",
        "2I⏎",
        ":balancing round-robin⏎",
        ":restart-balancer⏎",
    ] {
        assert_eq!(press(&mut model, keys), [], "{keys}");
        press(&mut model, "⎋⎋⎋");
    }
}

#[test]
fn inside_up_leaving_asks_and_elsewhere_it_does_not() {
    let mut model = model(scaling());
    assert_eq!(press(&mut model, "q"), [Effect::Leave { stop: false }]);
    assert_eq!(press(&mut model, "Qy"), []);
    model.options.in_up = true;
    assert_eq!(press(&mut model, "q⏎"), []);
    assert_eq!(press(&mut model, "qd"), [Effect::Leave { stop: false }]);
    assert_eq!(press(&mut model, "qy"), [Effect::Leave { stop: true }]);
    assert_eq!(press(&mut model, "Q⏎"), []);
    assert_eq!(press(&mut model, "Qy"), [Effect::Leave { stop: true }]);
}

#[test]
fn a_filter_of_a_number_names_one_vm() {
    let mut model = model(many(12));
    press(&mut model, "/vm-1⏎");
    assert_eq!(model.rows().0.len(), 1);
    press(&mut model, "⎋/!1⏎");
    assert_eq!(model.rows().0.len(), 11);
    press(&mut model, "⎋/cpu>100%⏎");
    assert_eq!(model.rows().0.len(), 0);
}

#[test]
fn a_vm_that_is_only_wanted_can_be_taken_back_but_not_killed() {
    let mut news = scaling();
    let mut orders = (**news.as_state.as_ref().unwrap().document.as_ref().unwrap()).clone();
    orders.vms.push(order(9, crate::domain::decision::Action::Add, "operator"));
    news.as_state.as_mut().unwrap().document = Some(std::sync::Arc::new(orders));
    let mut model = model(news);
    let target = Target { id: VmId::numbered(9), pid: None };
    assert_eq!(press(&mut model, "GKy"), []);
    assert_eq!(press(&mut model, "Gdy"), [Effect::Drain(target)]);
}

#[test]
fn requests_are_fired_as_chosen_and_as_typed() {
    let mut model = model(scaling());
    let volley = Volley::of;
    assert_eq!(press(&mut model, "f⏎"), [Effect::Fire(volley(Kind::Blur, 1, 1))]);
    // A workload by its letter, then 205 of them, 48 at a time.
    assert_eq!(press(&mut model, "3Fr↓5↓8⏎"), [Effect::Fire(volley(Kind::Raytrace, 205, 48))]);
    assert_eq!(press(&mut model, "f⏎"), [Effect::Fire(volley(Kind::Raytrace, 1, 1))]);
    assert_eq!(press(&mut model, "F⎋"), []);
    assert_eq!(
        press(&mut model, ":fire enhance 20 4⏎"),
        [Effect::Fire(volley(Kind::Enhance, 20, 4))]
    );
    assert_eq!(press(&mut model, ":fire cake⏎"), []);
    assert!(model.notice.as_ref().unwrap().text.contains("blur 20 4"));
}

#[test]
fn a_policy_is_put_in_force_only_if_it_makes_sense() {
    let mut model = model(scaling());
    assert_eq!(press(&mut model, ":policy threshold high=0.1⏎⏎"), []);
    assert!(model.dialog.is_some(), "what was typed is still there");
    press(&mut model, "⎋");
    press(&mut model, ":policy threshold high=0.5 maximum=4⏎");
    let effects = press(&mut model, "⏎");
    let [Effect::Steer(steering)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((steering.policy.as_str(), steering.limits), ("threshold", Some((2, 4))));
    assert_eq!(model.dialog, None);
}

#[test]
fn requests_are_filtered_by_what_they_are() {
    let mut model = model(scaling());
    let shown = |model: &Model| crate::tui::events_list::shown_requests(model).count();
    let all = shown(&model);
    press(&mut model, "3/503⏎");
    assert_eq!(shown(&model), 1);
    press(&mut model, "⎋/!503⏎");
    assert_eq!(shown(&model), all - 1);
    press(&mut model, "⎋/code>499⏎");
    assert_eq!(shown(&model), 1);
    press(&mut model, "⎋/code<500 took>0⏎");
    assert_eq!(shown(&model), all - 1);
    press(&mut model, "⎋");
    assert_eq!(shown(&model), all);
}

/// What is on the screen when a key is pressed: the wish that a `y` would grant.
#[test]
fn requests_are_sorted_by_any_column_and_the_chosen_row_stays() {
    let mut model = model(scaling());
    let took =
        |model: &Model| events_list::shown_requests(model).map(|it| it.wall_us).collect::<Vec<_>>();
    let in_time = took(&model);
    press(&mut model, "3s");
    let mut slowest_first = in_time.clone();
    slowest_first.sort_by(|a, b| b.cmp(a));
    assert_eq!(took(&model), slowest_first);
    press(&mut model, "jj");
    assert_eq!(took(&model), slowest_first[2..]);
    press(&mut model, "k");
    assert_eq!(took(&model), slowest_first[1..]);
    press(&mut model, "S");
    slowest_first.reverse();
    assert_eq!(took(&model), slowest_first);
    for _ in 0..RequestSort::ALL.len() - 1 {
        press(&mut model, "s");
        assert_eq!(took(&model).len(), in_time.len());
    }
    assert_eq!(took(&model), in_time);
}

fn asked(model: &Model) -> Option<Wish> {
    match model.dialog.as_ref()? {
        Dialog::Confirm(wish) => Some(wish.clone()),
        Dialog::Leave => Some(Wish::StopCluster),
        _ => None,
    }
}

fn any_key() -> impl Strategy<Value = KeyEvent> {
    // Those that matter come more often than they would by chance.
    let telling = proptest::sample::select("yKdzQqaRD".chars().collect::<Vec<_>>());
    let others = proptest::sample::select(vec![
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Down,
        KeyCode::Up,
        KeyCode::Tab,
        KeyCode::Char(' '),
        KeyCode::Backspace,
    ]);
    let code = prop_oneof![
        5 => proptest::char::range('!', '~').prop_map(KeyCode::Char),
        5 => telling.prop_map(KeyCode::Char),
        1 => others,
    ];
    let modifiers = prop_oneof![
        9 => Just(KeyModifiers::NONE),
        1 => Just(KeyModifiers::CONTROL),
        1 => Just(KeyModifiers::ALT),
    ];
    (code, modifiers).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn no_keys_do_harm_without_a_yes_to_exactly_that(
        keys in proptest::collection::vec(any_key(), 0..80),
        in_up in any::<bool>(),
    ) {
        let mut model = model(scaling());
        model.options.in_up = in_up;
        for key in keys {
            let asked = asked(&model);
            let yes = key == KeyEvent::new(KeyCode::Char('y'), KeyModifiers::NONE);
            match update(&mut model, Message::Key(key)) {
                Some(Effect::Inflict(target, fault)) if fault != Fault::Resume => {
                    prop_assert!(yes);
                    prop_assert_eq!(asked, Some(Wish::Inflict(target, fault)));
                }
                Some(Effect::Drain(target)) => {
                    prop_assert!(yes);
                    prop_assert_eq!(asked, Some(Wish::Drain(target)));
                }
                Some(Effect::Refresh(share)) => {
                    prop_assert!(yes);
                    prop_assert_eq!(asked, Some(Wish::Refresh(share)));
                }
                Some(Effect::SetDesired(number)) if number < 5 => {
                    prop_assert!(yes);
                    prop_assert_eq!(asked, Some(Wish::Shrink(number)));
                }
                Some(Effect::Leave { stop: true }) => {
                    prop_assert!(yes && in_up);
                    prop_assert_eq!(asked, Some(Wish::StopCluster));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn no_keys_reach_anything_in_read_only(keys in proptest::collection::vec(any_key(), 0..80)) {
        let mut model = model(scaling());
        model.options = Options { read_only: true, in_up: false };
        for key in keys {
            let effect = update(&mut model, Message::Key(key));
            let harmless = match &effect {
                None | Some(Effect::Copy(_) | Effect::Save | Effect::Mouse(_)) => true,
                Some(Effect::Leave { stop }) => !stop,
                Some(_) => false,
            };
            prop_assert!(harmless, "{:?}", effect);
        }
    }
}
