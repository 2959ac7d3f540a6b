//! Arbitrary documents, for laws that hold for all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use cumulet::domain::balancing::Policy;
use cumulet::domain::cost::{CostModel, Features, Form, Kind, Work};
use cumulet::domain::decision::{Action, Check, Decision, Direction};
use cumulet::domain::load::{Load, Served};
use cumulet::domain::vm::{VmId, VmState};
use cumulet::state::as_state::{AsStateFile, Refresh, VmOrder};
use cumulet::state::cost_model::CostModelFile;
use cumulet::state::lb_state::{
    LbCapacity, LbChoice, LbPrediction, LbStateFile, LbTarget, LbTotals,
};
use cumulet::state::vm_state::{VmReport, VmStateFile};
use cumulet::state::xml::{Element, Foreign, Node};
use cumulet::units::Share;
use jiff::Timestamp;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

/// Any text at all, also with characters that XML cannot hold.
pub(crate) fn anything() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(|characters| characters.into_iter().collect())
}

/// Text that XML can hold, rich in what has to be escaped.
fn text() -> impl Strategy<Value = String> {
    let odd = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        2 => proptest::sample::select(&['"', '\'', '<', '>', '&', ';', '\t', '\n', '\r', ']', '-'][..]),
        1 => proptest::char::ranges((&['\u{A0}'..='\u{D7FF}', '\u{E000}'..='\u{FFFD}',
            '\u{10000}'..='\u{10FFFF}'][..]).into()),
    ];
    vec(odd, 0..20).prop_map(|characters| characters.into_iter().collect())
}

fn id() -> impl Strategy<Value = VmId> {
    "[a-z0-9-]{1,64}".prop_map(|id| id.parse().unwrap())
}

fn ids() -> impl Strategy<Value = BTreeSet<VmId>> {
    btree_set(id(), 0..4)
}

/// Times as files hold them, in whole milliseconds.
fn time() -> impl Strategy<Value = Timestamp> {
    (0_i64..4_102_444_800_000).prop_map(|millis| Timestamp::from_millisecond(millis).unwrap())
}

/// Numbers as files hold them, with three decimals at most.
fn amount() -> impl Strategy<Value = f64> {
    (0_u32..=u32::MAX).prop_map(|thousandths| f64::from(thousandths) / 1000.0)
}

fn share() -> impl Strategy<Value = Share> {
    (0_u32..=1000).prop_map(|thousandths| Share::new(f64::from(thousandths) / 1000.0).unwrap())
}

/// Foreign attributes have names that no version uses.
fn attributes() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::btree_map("x[A-Za-z0-9_.é-]{0,8}", text(), 0..3)
        .prop_map(|attributes| attributes.into_iter().collect())
}

fn comment() -> impl Strategy<Value = String> {
    "[ a-z<&>\"'é]{0,12}"
}

fn element(comments: Vec<String>, attributes: Vec<(String, String)>) -> Element {
    let element = Element { comments, ..Element::new("xForeign") };
    attributes.into_iter().fold(element, |element, (name, value)| element.with(&name, value))
}

fn foreign() -> impl Strategy<Value = Foreign> {
    let leaf = (vec(comment(), 0..2), attributes(), option::of("[ -~é\n]*[a-z<&]"));
    let leaf = leaf.prop_map(|(comments, attributes, text)| {
        let mut element = element(comments, attributes);
        element.children.extend(text.map(Node::Text));
        element
    });
    let tree = (vec(comment(), 0..2), attributes(), vec(leaf, 0..3), vec(comment(), 0..2));
    let tree = tree.prop_map(|(comments, attributes, children, ends)| {
        let mut element = element(comments, attributes);
        for child in children {
            element.push(child);
        }
        element.children.extend(ends.into_iter().map(Node::Comment));
        element
    });
    (vec(comment(), 0..2), attributes(), vec(tree, 0..2), vec(comment(), 0..2)).prop_map(
        |(comments, attributes, elements, ends)| Foreign {
            comments,
            attributes,
            children: elements
                .into_iter()
                .map(Node::Element)
                .chain(ends.into_iter().map(Node::Comment))
                .collect(),
            parts: Vec::new(),
        },
    )
}

fn load() -> impl Strategy<Value = Load> {
    let credits = (option::of(amount()), option::of(amount()));
    (share(), any::<u64>(), any::<u32>(), any::<u32>(), credits).prop_map(
        |(cpu, memory_bytes, in_flight, queued, (cpu_credits, surplus_credits))| Load {
            cpu,
            memory_bytes,
            in_flight,
            queued,
            cpu_credits,
            surplus_credits,
        },
    )
}

fn served() -> impl Strategy<Value = Served> {
    (any::<u64>(), any::<u64>(), 0_u64..1 << 40).prop_map(|(requests, failures, millis)| Served {
        requests,
        failures,
        cpu: Duration::from_millis(millis),
    })
}

fn report(id: VmId) -> impl Strategy<Value = VmReport> {
    let state = proptest::sample::select(
        &[VmState::Booting, VmState::Running, VmState::Draining, VmState::Terminated][..],
    );
    let names = (text(), any::<u32>(), text(), option::of(text()));
    let times = (time(), option::of(time()), time(), any::<bool>());
    (state, names, times, load(), served(), foreign()).prop_map(
        move |(state, names, times, load, served, foreign)| VmReport {
            id: id.clone(),
            state,
            address: names.0,
            pid: names.1,
            instance_type: names.2,
            socket: names.3,
            launched_at: times.0,
            running_since: times.1,
            reported_at: times.2,
            warm: times.3,
            load,
            served,
            foreign,
        },
    )
}

/// Any VMState.xml.
pub(crate) fn vm_state() -> impl Strategy<Value = VmStateFile> {
    let vms = ids().prop_flat_map(|ids| ids.into_iter().map(report).collect::<Vec<_>>());
    (any::<u64>(), vms, foreign()).prop_map(|(seq, vms, foreign)| VmStateFile { seq, vms, foreign })
}

fn order(id: VmId) -> impl Strategy<Value = VmOrder> {
    let action = proptest::sample::select(&[Action::Keep, Action::Add, Action::Delete][..]);
    let why = (option::of(text()), option::of(text()), option::of(time()), option::of(text()));
    let more = (option::of(text()), any::<bool>(), any::<bool>(), option::of(any::<u32>()));
    (action, why, more, foreign()).prop_map(
        move |(
            action,
            (instance_type, by, since, reason),
            (image, protected, warm, other),
            foreign,
        )| VmOrder {
            id: id.clone(),
            action,
            instance_type,
            image,
            protected,
            warm,
            replaces: other.map(|number| VmId::numbered(number.into())),
            by,
            since,
            reason,
            foreign,
        },
    )
}

fn check() -> impl Strategy<Value = Check> {
    let number = || -1e6..1e6;
    let compared = (number(), any::<bool>());
    (text(), number(), option::of(compared)).prop_map(|(name, value, compared)| match compared {
        None => Check::input(&name, value),
        Some((limit, holds)) => Check::compared(&name, value, limit, holds),
    })
}

fn parameters() -> impl Strategy<Value = Vec<(String, String)>> {
    vec(text(), 0..3)
        .prop_map(|values| (1..).zip(values).map(|(n, v)| (format!("key{n}"), v)).collect())
}

fn decision() -> impl Strategy<Value = Decision> {
    let action = proptest::sample::select(&[Direction::Out, Direction::In, Direction::Hold][..]);
    ((time(), action, any::<u32>(), any::<u32>(), text()), vec(check(), 0..3)).prop_map(
        |((at, action, from, to, reason), checks)| Decision {
            at,
            action,
            from,
            to,
            reason,
            checks,
        },
    )
}

/// Any ASState.xml.
pub(crate) fn as_state() -> impl Strategy<Value = AsStateFile> {
    let vms = ids().prop_flat_map(|ids| ids.into_iter().map(order).collect::<Vec<_>>());
    let bounds = ((any::<u32>(), option::of(any::<u32>())), any::<u32>(), any::<u32>());
    let policy = (text(), parameters());
    let balancing = option::of(proptest::sample::select(Policy::ALL.to_vec()));
    let refresh = option::of((time(), share()))
        .prop_map(|wish| wish.map(|(before, share)| Refresh { before, share }));
    let head = (
        any::<u64>(),
        option::of(time()),
        policy,
        bounds,
        (any::<bool>(), refresh, balancing),
        any::<u64>(),
    );
    (head, vms, vec(decision(), 0..3), foreign()).prop_map(|(head, vms, decisions, foreign)| {
        let (seq, decided_at, policy, (sizes, one, other), (paused, refresh, balancing), last_vm) =
            head;
        let ((policy, parameters), (desired, settled)) = (policy, sizes);
        AsStateFile {
            seq,
            decided_at,
            policy,
            parameters,
            desired,
            settled,
            minimum: one.min(other),
            maximum: one.max(other),
            paused,
            refresh,
            balancing,
            last_vm,
            vms,
            decisions,
            foreign,
        }
    })
}

fn totals() -> impl Strategy<Value = LbTotals> {
    let counts = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    (counts, amount(), amount(), amount()).prop_map(
        |(counts, queue_seconds, rate, offered_load)| {
            let (requests, in_flight, queued, failures, retries) = counts;
            LbTotals {
                requests,
                in_flight,
                queued,
                queue_seconds,
                failures,
                retries,
                overflowed: retries / 2,
                rate,
                offered_load,
            }
        },
    )
}

fn target(id: VmId) -> impl Strategy<Value = LbTarget> {
    let counts = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u64>());
    let amounts = (amount(), amount(), amount(), amount());
    let capacity = (option::of(any::<u32>()), amount(), amount(), amount())
        .prop_map(|(cap, speed, weight, foreign)| LbCapacity { cap, speed, weight, foreign });
    (any::<bool>(), text(), counts, amounts, (any::<u64>(), capacity)).prop_map(
        move |(in_rotation, reason, counts, amounts, (ejections, capacity))| {
            let (in_flight, served, failures, retries) = counts;
            LbTarget {
                id: id.clone(),
                in_rotation,
                reason,
                in_flight,
                outstanding_seconds: amounts.0,
                served,
                failures,
                retries,
                p50_ms: amounts.1,
                p95_ms: amounts.2,
                p99_ms: amounts.3,
                ejections,
                capacity,
            }
        },
    )
}

fn choice() -> impl Strategy<Value = LbChoice> {
    let words = (text(), text(), text(), "[a-z0-9-]{1,9}");
    (time(), words, any::<u32>(), amount(), amount()).prop_map(
        |(at, (request, workload, reason, vm), attempt, work_seconds, waited_ms)| LbChoice {
            at,
            request,
            attempt,
            workload,
            work_seconds,
            waited_ms,
            vm: vm.parse().unwrap(),
            reason,
        },
    )
}

fn kind() -> impl Strategy<Value = Kind> {
    proptest::sample::select(Kind::WORKLOADS.to_vec())
}

fn prediction(workload: Kind) -> impl Strategy<Value = LbPrediction> {
    (any::<u64>(), amount()).prop_map(move |(requests, error)| LbPrediction {
        workload,
        requests,
        error,
    })
}

/// Any CostModel.xml: what was learned from any answers.
pub(crate) fn cost_model() -> impl Strategy<Value = CostModelFile> {
    let forms = vec![Form::Jpeg, Form::Png, Form::ShortList, Form::Guessed];
    let form = proptest::sample::select(forms);
    let answer = (kind(), form, any::<u64>(), any::<u64>(), any::<u32>());
    (any::<u64>(), vec(answer, 0..20), foreign()).prop_map(|(seq, answers, foreign)| {
        let mut model = CostModel::default();
        for (kind, form, nanos, bytes, micros) in answers {
            let [nominal, tests] = [nanos, nanos / 3].map(Work::from_nanos);
            let features = Features { kind, form, nominal, tests, bytes };
            let predicted = model.predict(&features);
            model.learn(&features, predicted, Duration::from_micros(micros.into()), 1.0);
        }
        CostModelFile { seq, model, foreign }
    })
}

/// Any LBState.xml.
pub(crate) fn lb_state() -> impl Strategy<Value = LbStateFile> {
    let vms = ids().prop_flat_map(|ids| ids.into_iter().map(target).collect::<Vec<_>>());
    let head = (any::<u64>(), option::of(time()), text(), any::<u32>(), text(), amount());
    let predictions = btree_set(kind(), 0..3)
        .prop_flat_map(|kinds| kinds.into_iter().map(prediction).collect::<Vec<_>>());
    let lists = (predictions, vms, vec(choice(), 0..3));
    (head, totals(), lists, foreign()).prop_map(|(head, totals, lists, foreign)| {
        let (seq, reported_at, address, pid, policy, scheduling_delay_ms) = head;
        let (predictions, vms, choices) = lists;
        LbStateFile {
            seq,
            reported_at,
            address,
            pid,
            policy,
            scheduling_delay_ms,
            totals,
            predictions,
            vms,
            choices,
            foreign,
        }
    })
}
