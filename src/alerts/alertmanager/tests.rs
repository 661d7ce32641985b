use std::collections::HashSet;

use super::*;

const SECOND: i64 = 1_000_000_000;
const MAX: usize = 1 << 20;

fn notice(unit: &str, ends_at: i64, resolved: bool) -> Notice {
    let mut labels = LabelSet::default();
    labels.insert("unit", unit.as_bytes());
    Notice {
        labels: Arc::new(labels),
        annotations: Arc::new(BTreeMap::from([("a".to_owned(), "b\"\n".to_owned())])),
        link: Some("http://g/explore?left=x".into()),
        starts_at: 1_700_000_000 * SECOND,
        ends_at: ends_at * SECOND,
        resolved,
    }
}

#[test]
fn an_alert_is_written_as_the_api_has_it() {
    assert_eq!(
        String::from_utf8_lossy(&body(&[notice("a\"", 1_700_000_240, false)])),
        r#"[{"labels":{"unit":"a\""},"annotations":{"a":"b\"\n"},"startsAt":"2023-11-14T22:13:20.000Z","#
            .to_owned()
            + r#""endsAt":"2023-11-14T22:17:20.000Z","generatorURL":"http://g/explore?left=x"}]"#
    );
    assert_eq!(body(&[]), "[]");
}

#[test]
fn an_outbox_holds_the_latest_of_each_alert_and_nothing_that_is_over() {
    let outbox = Outbox::new(MAX);
    outbox.put(&[notice("a", 100, false), notice("b", 100, false)]);
    outbox.put(&[notice("a", 60, true)]);
    let mut taken = outbox.take(90 * SECOND, BATCH);
    taken.sort_by_key(|notice| notice.labels.to_string());
    let shown: Vec<_> = taken.iter().map(|n| (n.labels.to_string(), n.resolved)).collect();
    assert_eq!(shown, [(r#"{unit="a"}"#.to_owned(), true), (r#"{unit="b"}"#.to_owned(), false)]);
    // What is newer stays.
    outbox.put(&[notice("b", 80, true)]);
    outbox.give_back(taken);
    assert!(outbox.take(90 * SECOND, BATCH).iter().all(|notice| notice.resolved));
    outbox.put(&[notice("old", 100, true), notice("silent", 100, false)]);
    assert!(outbox.take((100 + 15 * 60 + 1) * SECOND, BATCH).is_empty());
}

#[test]
fn what_came_first_goes_first_and_what_failed_last() {
    let units = |notices: &[Notice]| -> Vec<String> {
        notices.iter().filter_map(|notice| notice.labels.get("unit").map(str::to_owned)).collect()
    };
    let outbox = Outbox::new(MAX);
    let notices: Vec<_> = (0..100).map(|n| notice(&format!("{n:02}"), 100, false)).collect();
    outbox.put(&notices);
    // One that is told again keeps its place.
    outbox.put(&notices[40..41]);
    let first = outbox.take(0, 64);
    assert_eq!(units(&first), units(&notices[..64]));
    outbox.give_back(first);
    let rest = [outbox.take(0, 64), outbox.take(0, 64)].concat();
    assert_eq!(units(&rest), units(&[&notices[64..], &notices[..64]].concat()));
}

#[test]
fn an_outbox_is_bounded() {
    let notices: Vec<_> = (0..1005).map(|n| notice(&format!("{n:04}"), 100, false)).collect();
    let outbox = Outbox::new(1000 * notices[0].bytes());
    outbox.put(&notices);
    let counts = |waiting: MutexGuard<'_, Waiting>| (waiting.notices.len(), waiting.refused);
    assert_eq!(counts(outbox.lock()), (1000, 5));
    // A known value replaces what was there.
    outbox.put(&notices[..1000]);
    assert_eq!(counts(outbox.lock()), (1000, 5));
    while outbox.take(0, BATCH).len() == BATCH {}
    assert_eq!((counts(outbox.lock()).0, outbox.lock().bytes), (0, 0));
}

#[test]
fn all_servers_are_told() {
    let mut outboxes = Outboxes::default();
    let both = [outboxes.add(MAX), outboxes.add(MAX)];
    outboxes.put(&[notice("a", 100, false)]);
    outboxes.close();
    let told: HashSet<_> = both.iter().map(|outbox| outbox.take(0, BATCH).len()).collect();
    assert_eq!(told, HashSet::from([1]));
    assert!(both.iter().all(|outbox| outbox.lock().closed));
}

/// A server that takes so many alerts at a time answers 413 to more; it says how many each request had.
async fn narrow(listener: tokio::net::TcpListener, most: usize, seen: Arc<Mutex<Vec<usize>>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut text, mut buffer) = (Vec::new(), [0; 65536]);
        let body = loop {
            let length = stream.read(&mut buffer).await.unwrap();
            text.extend_from_slice(&buffer[..length]);
            let so_far = String::from_utf8_lossy(&text).into_owned();
            let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.unwrap().parse().unwrap() {
                break body.to_owned();
            }
        };
        let alerts: serde_json::Value = serde_json::from_str(&body).unwrap();
        let count = alerts.as_array().unwrap().len();
        seen.lock().unwrap().push(count);
        let status = if count > most { "413 Too Large" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn requests_that_are_too_large_are_halved_and_one_alert_alone_is_let_go() {
    for (most, expected) in [(3, &[10, 5, 2, 2, 2, 2, 2][..]), (0, &[10, 5, 2, 1])] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<usize>>>::default();
        let serving = tokio::spawn(narrow(listener, most, seen.clone()));
        let outbox = Arc::new(Outbox::new(MAX));
        let firing = (0..10).map(|n| notice(&n.to_string(), i64::MAX / SECOND, false));
        outbox.put(&firing.collect::<Vec<_>>());
        outbox.close();
        let registry = Registry::default();
        let server = Alertmanager { url, access: Default::default(), timeout: Duration::from_secs(10) };
        let resend = Duration::from_secs(1);
        let told = Told::new(&registry);
        Teller::new(&server, outbox, resend, Arc::default(), told).unwrap().run().await;
        let seen = seen.lock().unwrap().clone();
        assert_eq!(&seen[..expected.len()], expected, "{seen:?}");
        let (sent, dropped) = if most == 0 { (0, 10) } else { (10, 0) };
        let text = registry.text(0);
        assert!(
            sent == 0
                || text.contains("journalship_notifications_sent_total{alertmanager=")
                    && text.contains(" 10\n"),
            "{text}"
        );
        assert!(dropped == 0 || text.contains("reason=\"too_large\"} 10\n"), "{text}");
        serving.abort();
    }
}
