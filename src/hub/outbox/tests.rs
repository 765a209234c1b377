//! A queue that is bounded, and falls behind rather than skip or grow.

use super::*;

fn offer(outbox: &Outbox, n: u64) -> Offered {
    outbox.offer(Outgoing {
        offset: Offset(0, n),
        text: Utf8Bytes::from_static("12345"),
        ephemeral: n.is_multiple_of(2),
    })
}

#[test]
fn a_full_outbox_falls_behind_and_keeps_what_it_has() {
    let outbox = Outbox::new(Offset::ZERO, 2, 1000);
    let offered: Vec<_> = (1..=4).map(|n| offer(&outbox, n)).collect();
    assert_eq!(
        offered,
        [
            Offered::Queued,
            Offered::Queued,
            Offered::Behind,
            Offered::Behind
        ]
    );
    assert!(matches!(outbox.take(), Due::Frames(frames) if frames.len() == 2));
    assert!(matches!(outbox.take(), Due::CatchUp));
    assert!(matches!(outbox.take(), Due::Nothing));
    assert_eq!(offer(&outbox, 5), Offered::Queued);
}

#[test]
fn bytes_are_bounded_but_a_large_frame_passes_alone() {
    let outbox = Outbox::new(Offset::ZERO, 100, 4);
    assert_eq!(offer(&outbox, 1), Offered::Queued);
    assert_eq!(offer(&outbox, 2), Offered::Behind);
}

#[test]
fn what_is_cut_off_is_left_to_the_feed() {
    let outbox = Outbox::new(Offset::ZERO, 10, 1000);
    for n in 1..=4 {
        offer(&outbox, n);
    }
    let cut = outbox.cut_after(Offset(0, 2));
    assert_eq!(
        (cut.frames.len(), cut.was_behind, cut.lost.len()),
        (2, false, 1)
    );
    assert_eq!(offer(&outbox, 5), Offered::Behind);
    assert!(matches!(outbox.take(), Due::CatchUp));
}

#[test]
fn ephemeral_frames_that_are_dropped_are_told_of() {
    let outbox = Outbox::new(Offset::ZERO, 10, 1000);
    for n in 1..=4 {
        offer(&outbox, n);
    }
    assert_eq!(outbox.fall_behind().len(), 2);
    assert!(matches!(outbox.take(), Due::CatchUp));
    for n in 5..=6 {
        assert_eq!(offer(&outbox, n), Offered::Queued);
    }
    assert_eq!(outbox.put_back(Due::CatchUp).len(), 1);
    assert!(outbox.put_back(Due::Nothing).is_empty());
    assert!(matches!(outbox.take(), Due::CatchUp));
}

#[test]
fn what_is_given_back_is_first_again() {
    let outbox = Outbox::new(Offset::ZERO, 10, 1000);
    offer(&outbox, 1);
    let due = outbox.take();
    offer(&outbox, 2);
    outbox.put_back(due);
    let offsets = |due| match due {
        Due::Frames(frames) => frames.iter().map(|frame| frame.offset.1).collect(),
        Due::CatchUp | Due::Nothing => Vec::new(),
    };
    assert_eq!(offsets(outbox.take()), [1, 2]);
}

#[test]
fn the_same_entry_by_two_topics_is_queued_once() {
    let outbox = Outbox::new(Offset(0, 3), 100, 1000);
    let offered = [3, 4, 4].map(|n| offer(&outbox, n));
    assert_eq!(offered, [Offered::Known, Offered::Queued, Offered::Known]);
}
