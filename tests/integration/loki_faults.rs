//! The double misbehaves as told, and only so: prepared answers, cut connections, a port that refuses.

use std::time::{Duration, Instant};

use crate::support::loki::by_hand::{
    DEADLINE, PROTOBUF, entry, now_ns, plain, post, push, request, snappy, stream,
};
use crate::support::loki::{Answer, Loki};

#[test]
fn prepared_answers_are_given_in_turn() {
    let loki = Loki::start();
    let now = now_ns();
    loki.answer_next(2, Answer::Status(503, "away".to_owned()));
    loki.answer_next(1, Answer::StoreThenStatus(504, "too late".to_owned()));
    let answers: Vec<_> = (0..4).map(|i| push(&loki, &[plain("x", now + i)])).collect();
    let expected = [(503, "away"), (503, "away"), (504, "too late"), (204, "")];
    assert_eq!(answers, expected.map(|(status, text)| (status, text.to_owned())));
    let offsets: Vec<_> = loki.stored().iter().map(|entry| entry.timestamp_ns - now).collect();
    assert_eq!(offsets, [2, 3]);
    assert_eq!((loki.received_requests().len(), loki.received_entries()), (4, 2));
    let statuses: Vec<_> = loki.received_requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(503), Some(503), Some(504), Some(204)]);
}

#[test]
fn a_connection_closed_before_the_answer_has_stored_and_a_reset_one_has_not() {
    let loki = Loki::start();
    let now = now_ns();
    let body = snappy(&request(&[plain("x", now)]));
    loki.answer_next(1, Answer::Reset);
    loki.answer_next(1, Answer::CloseBeforeAnswer);
    let send = || post(&loki, "/loki/api/v1/push", PROTOBUF, &body);
    assert_eq!(send().map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
    assert!(loki.stored().is_empty());
    assert_eq!(send().map_err(|error| error.kind()), Err(std::io::ErrorKind::UnexpectedEof));
    assert_eq!(loki.stored().len(), 1);
    // Sent again it is folded.
    assert_eq!(send().expect("an answer").0, 204);
    assert_eq!((loki.stored().len(), loki.folded(), loki.received_entries()), (1, 1, 2));
    let statuses: Vec<_> = loki.received_requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [None, None, Some(204)]);
}

#[test]
fn a_stalled_answer_comes_late_and_others_pass_it() {
    let loki = Loki::start();
    let now = now_ns();
    let stall = Duration::from_millis(300);
    loki.answer_next(1, Answer::Stall(stall));
    std::thread::scope(|scope| {
        let start = Instant::now();
        let stalled = scope.spawn(|| push(&loki, &[plain("slow", now)]));
        loki.wait_for(|state| state.requests().len() == 1, DEADLINE).expect("the stalled request arrives");
        assert_eq!(push(&loki, &[plain("fast", now)]).0, 204);
        assert_eq!(stalled.join().expect("no panic").0, 204);
        assert!(start.elapsed() >= stall);
    });
    let order: Vec<_> = loki.stored().iter().map(|entry| entry.labels["t"].clone()).collect();
    assert_eq!(order, ["fast", "slow"]);
}

#[test]
fn refused_connections_come_back_on_the_same_port() {
    let loki = Loki::start();
    let now = now_ns();
    let body = snappy(&request(&[plain("x", now)]));
    let send = || post(&loki, "/loki/api/v1/push", PROTOBUF, &body).map(|answer| answer.0);
    for _ in 0..3 {
        assert_eq!(send().expect("an answer"), 204);
        loki.refuse_connections(true);
        assert_eq!(send().map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionRefused));
        loki.refuse_connections(false);
    }
    assert_eq!(send().expect("an answer"), 204);
}

#[test]
fn waiting_in_vain_says_what_there_was() {
    let loki = Loki::start();
    let error = loki.wait_for(|state| !state.stored().is_empty(), Duration::from_millis(10));
    assert!(error.expect_err("nothing was pushed").contains("0 requests, 0 entries received, 0 stored"));
}

#[test]
fn a_hundred_thousand_lines_of_one_nanosecond_are_no_burden() {
    let loki = Loki::builder().ignore_age(true).start();
    for batch in 0..10 {
        let entries: Vec<_> = (0..10_000).map(|i| entry(0, format!("line {i} of batch {batch}"))).collect();
        assert_eq!(push(&loki, &[stream(r#"{a="1"}"#, &entries)]), (204, String::new()));
    }
    assert_eq!((loki.stored().len(), loki.folded()), (100_000, 0));
}
