use super::*;

const NOW: Duration = Duration::from_secs(100);

fn after(events: &[Event]) -> Health {
    let mut health = Health::default();
    for &event in events {
        health.on(event, NOW);
    }
    health
}

#[test]
fn the_whole_table() {
    use Cause::{ClosesEarly, Died, Hangs, Overdue, Refuses, Silent, TakesNone, Unanswered};
    use Phase::{Out, Sound, Suspect};
    let suspect = [Event::ReusedClosed];
    let out = [Event::CutShort];
    let rows = [
        (Event::Answered, Sound, Sound, Out(ClosesEarly)),
        (Event::Failed { can_spare: true }, Sound, Suspect(ClosesEarly), Out(ClosesEarly)),
        (Event::Overdue, Suspect(Overdue), Suspect(ClosesEarly), Out(ClosesEarly)),
        (Event::Died, Out(Died), Out(Died), Out(Died)),
        (Event::Refused, Out(Refuses), Out(Refuses), Out(Refuses)),
        (Event::ProbeRefused, Out(Refuses), Out(Refuses), Out(Refuses)),
        (Event::NotTakenUp, Out(TakesNone), Out(TakesNone), Out(TakesNone)),
        (Event::CutShort, Out(ClosesEarly), Out(ClosesEarly), Out(ClosesEarly)),
        (Event::ReusedClosed, Suspect(ClosesEarly), Suspect(ClosesEarly), Out(ClosesEarly)),
        (Event::ProbeAnswered, Sound, Sound, Sound),
        (Event::ProbeUnanswered, Suspect(Unanswered), Suspect(Unanswered), Out(ClosesEarly)),
        (Event::ReportsLate, Suspect(Silent), Suspect(ClosesEarly), Out(ClosesEarly)),
        (Event::Reported, Sound, Suspect(ClosesEarly), Out(ClosesEarly)),
    ];
    for (event, from_sound, from_suspect, from_out) in rows {
        let phase = |before: &[Event]| after(&[before, &[event]].concat()).phase();
        assert_eq!(phase(&[]), from_sound, "sound, {event:?}");
        assert_eq!(phase(&suspect), from_suspect, "suspect, {event:?}");
        assert_eq!(phase(&out), from_out, "out, {event:?}");
    }
    let hung = after(&[Event::ReportsLate, Event::ProbeUnanswered]);
    assert_eq!(hung.phase(), Out(Hangs));
}

#[test]
fn a_busy_vm_that_still_reports_is_never_ejected_for_its_probes() {
    let mut health = Health::default();
    for _ in 0..50 {
        assert_eq!(health.on(Event::ProbeUnanswered, NOW), None);
        assert_eq!(health.on(Event::Reported, NOW), None);
    }
    assert_eq!(health.phase(), Phase::Suspect(Cause::Unanswered));
}

#[test]
fn ejection_and_return_are_told_once() {
    let mut health = Health::default();
    assert_eq!(health.on(Event::Refused, NOW), Some(Change::Ejected(Cause::Refuses)));
    assert_eq!(health.on(Event::CutShort, NOW), None);
    assert_eq!(health.on(Event::ProbeAnswered, NOW), Some(Change::Readmitted));
    assert_eq!(health.on(Event::ProbeAnswered, NOW), None);
}

#[test]
fn what_went_wrong_is_probed_at_once_and_then_ever_more_slowly() {
    let mut health = after(&[Event::Refused]);
    assert_eq!(health.next_probe(), Some(NOW));
    let mut now = NOW;
    let mut pauses = Vec::new();
    for _ in 0..7 {
        health.probing();
        assert_eq!(health.next_probe(), None);
        health.on(Event::ProbeRefused, now);
        let next = health.next_probe().unwrap();
        pauses.push(next.saturating_sub(now).as_millis());
        now = next;
    }
    assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 4000, 4000]);
    health.on(Event::ProbeAnswered, now);
    assert_eq!(health.next_probe(), None);
}

#[test]
fn a_silent_vm_is_probed_until_it_reports() {
    let mut health = after(&[Event::ReportsLate]);
    assert_eq!(health.next_probe(), Some(NOW));
    health.on(Event::ProbeAnswered, NOW);
    assert_eq!(health.phase(), Phase::Sound);
    assert_eq!(health.on(Event::ReportsLate, NOW), None);
    assert_eq!(health.next_probe(), Some(NOW + LONGEST_PAUSE));
    health.on(Event::Reported, NOW);
    assert_eq!(health.next_probe(), None);
}

const FAILED: Event = Event::Failed { can_spare: true };

#[test]
fn five_errors_in_a_row_eject_and_an_answer_between_them_forgives() {
    let mut health = after(&[FAILED, FAILED, FAILED, FAILED, Event::Answered, FAILED]);
    assert_eq!(health.phase(), Phase::Sound);
    for _ in 0..9 {
        health.on(Event::Failed { can_spare: false }, NOW);
    }
    assert_eq!(health.phase(), Phase::Sound, "it cannot be spared");
    assert_eq!(health.on(FAILED, NOW), Some(Change::Ejected(Cause::Fails)));
    assert_eq!(health.next_probe(), Some(NOW + FIRST_EJECTION));
    assert_eq!(health.on(Event::ProbeAnswered, NOW), None, "not before its time");
    let then = NOW + FIRST_EJECTION;
    assert_eq!(health.on(Event::ProbeAnswered, then), Some(Change::Readmitted));
}

#[test]
fn who_fails_again_is_kept_out_for_twice_as_long_until_it_was_stable() {
    let mut health = Health::default();
    let mut now = NOW;
    let out_for = |health: &mut Health, now: &mut Duration| {
        for _ in 0..ERRORS_TO_EJECT {
            health.on(FAILED, *now);
        }
        let next = health.next_probe().unwrap();
        let seconds = next.saturating_sub(*now).as_secs();
        *now = next;
        assert_eq!(health.on(Event::ProbeAnswered, *now), Some(Change::Readmitted));
        seconds
    };
    let pauses: Vec<_> = (0..8).map(|_| out_for(&mut health, &mut now)).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    now += STABLE_AFTER;
    assert_eq!(out_for(&mut health, &mut now), 1);
}

#[test]
fn who_dies_again_at_once_is_waited_for() {
    let mut health = after(&[Event::CutShort, Event::ProbeAnswered]);
    assert_eq!(health.phase(), Phase::Sound, "the first time is forgiven");
    health.on(Event::CutShort, NOW);
    assert_eq!(health.next_probe(), Some(NOW), "a probe still tells that nobody listens");
    assert_eq!(health.on(Event::ProbeAnswered, NOW), None);
    assert_eq!(health.next_probe(), Some(NOW + FIRST_PAUSE));
    let then = NOW + FIRST_PAUSE;
    assert_eq!(health.on(Event::ProbeAnswered, then), Some(Change::Readmitted));
}

#[test]
fn three_of_ten_can_be_spared_and_always_one() {
    let spared = |all: usize| (0..all).take_while(|ejected| can_spare(*ejected, all)).count();
    assert_eq!([1, 2, 5, 9, 10, 20].map(spared), [1, 1, 1, 2, 3, 6]);
}
