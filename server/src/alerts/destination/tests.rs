use super::super::testing::{Behaviour, Receiver, Request};
use super::*;
use app::model::{
    alert::{AlertConnection, Rule, TransitionKind},
    history::gap::Acknowledgement,
};
use serde_json::json as value;
use std::time::Instant;

const NOW: UnixMillis = UnixMillis(1_764_169_200_000);

fn courier() -> Courier {
    let reach = Reach::new(&["127.0.0.0/8".parse().unwrap()]);
    Courier::new(reach, Context { public_url: Some("https://monitor.example.com".into()), is_recorded: true })
}

fn step(kind: TransitionKind) -> Transition {
    let alert = Alert {
        id: "mute-1-1764169200000".into(),
        fingerprint: "mute:1".into(),
        rule: Rule::Mute,
        severity: Severity::Critical,
        connections: vec![AlertConnection { id: 1, name: "primary".into() }],
        title: "primary: no data".into(),
        text: "No tick for 12 s, <!channel> & \"more\"".into(),
        started_at: UnixMillis(NOW.0 - 12_000),
        fired_at: NOW,
        ended_at: (kind == TransitionKind::Resolved).then_some(UnixMillis(NOW.0 + 60_000)),
        value: Some(12.5),
        threshold: Some(4.0),
        acknowledged: (kind == TransitionKind::Acknowledged).then(|| Acknowledgement {
            at: NOW,
            by: "ann@x".into(),
            note: "on it".into(),
        }),
        told: vec!["webhook".into()],
        transitions: 2,
        ..Alert::default()
    };
    Transition { id: "mute-1-1764169200000-2".into(), kind, at: NOW, alert, to: Vec::new() }
}

fn to(format: Format) -> Destination {
    Destination { name: "one".into(), min_severity: Severity::Warning, format }
}

async fn told(format: impl FnOnce(SecretString) -> Format, path: &str, kind: TransitionKind) -> Option<Request> {
    let receiver = Receiver::start([]).await;
    let url = receiver.url.replace("/hook", path);
    let answer = courier().tell(&to(format(url.into())), &step(kind), NOW).await;
    assert!(matches!(answer, Answer::Taken(_)), "{answer:?}");
    receiver.requests().first().cloned()
}

#[tokio::test]
async fn a_webhook_has_every_field_and_a_signature_over_all_of_it() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let format = |url| Format::Webhook { url, secret: Some(secret.into()) };
    let request = told(format, "/hook?token=1", TransitionKind::Resolved).await.unwrap();
    assert_eq!(request.line, "POST /hook?token=1 HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-id"), "mute-1-1764169200000-2");
    assert_eq!(request.header("webhook-timestamp"), "1764169200");
    use base64::Engine as _;
    use hmac::Mac as _;
    let mut mac = HmacSha256::new_from_slice(&key_of(secret).unwrap()).unwrap();
    mac.update(format!("mute-1-1764169200000-2.1764169200.{}", request.body).as_bytes());
    let expected = base64::prelude::BASE64_STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(request.header("webhook-signature"), format!("v1,{expected}"));
    let body = request.json();
    assert_eq!((&body["type"], &body["timestamp"]), (&value!("alert.resolved"), &value!("2025-11-26T15:00:00.000Z")));
    let data = &body["data"];
    for (field, expected) in [
        ("id", value!("mute-1-1764169200000")),
        ("fingerprint", value!("mute:1")),
        ("rule", value!("mute")),
        ("severity", value!("critical")),
        ("state", value!("resolved")),
        ("connection", value!({"id": 1, "name": "primary"})),
        ("title", value!("primary: no data")),
        ("started_at", value!("2025-11-26T14:59:48.000Z")),
        ("ended_at", value!("2025-11-26T15:01:00.000Z")),
        ("value", value!(12.5)),
        ("threshold", value!(4.0)),
    ] {
        assert_eq!(data[field], expected, "{field}");
    }
    assert_eq!(data["links"]["dashboard"], "https://monitor.example.com/admin/websockets");
    assert_eq!(
        data["links"]["replay"],
        "https://monitor.example.com/admin/replay?at=2025-11-26T14:59:48.000Z&window=60s"
    );
    assert!(request.body.len() < 20_000);
}

#[tokio::test]
async fn slack_gets_text_and_a_block_in_which_nothing_mentions_anybody() {
    let request = told(|url| Format::Slack { url }, "/services/T/B/X", TransitionKind::Firing).await.unwrap();
    let body = request.json();
    assert_eq!(body["text"], "CRITICAL: primary: no data");
    assert_eq!(
        (&body["blocks"][0]["type"], &body["blocks"][0]["text"]["type"]),
        (&value!("section"), &value!("mrkdwn"))
    );
    let text = body["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(
        text.starts_with("*CRITICAL: primary: no data*\nNo tick for 12 s, &lt;!channel&gt; &amp; \"more\"\nSince"),
        "{text}"
    );
    assert!(
        text.ends_with("\n<https://monitor.example.com/admin/alerts?alert=mute-1-1764169200000#alert|Open the alert>"),
        "{text}"
    );
}

#[tokio::test]
async fn pagerduty_gets_an_incident_that_is_acknowledged_and_resolved_under_one_key() {
    let format = |url| Format::PagerDuty { url, key: "0123456789abcdef0123456789abcdef".into() };
    let body = told(format, "/v2/enqueue", TransitionKind::Firing).await.unwrap().json();
    assert_eq!(
        (&body["routing_key"], &body["event_action"]),
        (&value!("0123456789abcdef0123456789abcdef"), &value!("trigger"))
    );
    let payload = &body["payload"];
    assert_eq!((&payload["severity"], &payload["source"]), (&value!("critical"), &value!("tickstock-monitor")));
    assert_eq!((&payload["component"], &payload["class"]), (&value!("primary"), &value!("mute")));
    assert_eq!(payload["timestamp"], "2025-11-26T14:59:48.000Z");
    assert!(payload["summary"].as_str().unwrap().starts_with("primary: no data: No tick"));
    assert_eq!(payload["custom_details"]["fingerprint"], "mute:1");
    assert_eq!((&body["client"], body["client_url"].is_string()), (&value!("TickStock Monitor"), true));
    for (kind, action) in [(TransitionKind::Acknowledged, "acknowledge"), (TransitionKind::Resolved, "resolve")] {
        let next = told(format, "/v2/enqueue", kind).await.unwrap().json();
        assert_eq!((&next["event_action"], &next["dedup_key"]), (&value!(action), &body["dedup_key"]));
        assert!(next.get("payload").is_none());
    }
}

#[tokio::test]
async fn alertmanager_gets_what_lasts_with_an_end_ahead_and_what_is_over_with_its_own() {
    for path in ["/", "/alertmanager/", "/alertmanager/api/v2/alerts"] {
        let request = told(|url| Format::Alertmanager { url }, path, TransitionKind::Firing).await.unwrap();
        let expected = if path == "/" { "" } else { "/alertmanager" };
        assert_eq!(request.line, format!("POST {expected}/api/v2/alerts HTTP/1.1"));
        let alert = &request.json()[0];
        assert_eq!(
            (&alert["labels"]["alertname"], &alert["labels"]["connection"]),
            (&value!("TickStock_mute"), &value!("1"))
        );
        assert_eq!(
            (&alert["startsAt"], &alert["endsAt"]),
            (&value!("2025-11-26T14:59:48.000Z"), &value!("2025-11-26T15:05:00.000Z"))
        );
        assert!(
            alert["labels"]
                .as_object()
                .unwrap()
                .values()
                .all(|label| label.as_str().is_some_and(|text| !text.is_empty()))
        );
    }
    let request = told(|url| Format::Alertmanager { url }, "/", TransitionKind::Resolved).await.unwrap();
    assert_eq!(request.json()[0]["endsAt"], "2025-11-26T15:01:00.000Z");
    assert!(
        told(|url| Format::Alertmanager { url }, "/", TransitionKind::Acknowledged).await.is_none(),
        "no word for it"
    );
}

#[tokio::test]
async fn ntfy_gets_the_topic_in_the_body_and_a_token_in_the_head() {
    let format =
        |url: SecretString| Format::Ntfy { url: url.expose_secret().replace("http://", "http://:tk_secret@").into() };
    let request = told(format, "/base/our-topic", TransitionKind::Firing).await.unwrap();
    assert_eq!((&*request.line, request.header("authorization")), ("POST /base HTTP/1.1", "Bearer tk_secret"));
    let body = request.json();
    assert_eq!((&body["topic"], &body["priority"]), (&value!("our-topic"), &value!(5)));
    assert_eq!((&body["title"], &body["tags"][0]), (&value!("CRITICAL: primary: no data"), &value!("rotating_light")));
    assert!(body["click"].as_str().unwrap().ends_with("/admin/alerts?alert=mute-1-1764169200000#alert"));
}

#[tokio::test]
async fn whatever_a_receiver_does_is_understood_and_bounded() {
    let answers = [
        (Behaviour::Answer(204, String::new()), "taken"),
        (Behaviour::Answer(500, "boom\u{202e}".repeat(1_000)), "failed"),
        (Behaviour::Answer(429, String::new()), "failed"),
        (Behaviour::Answer(404, String::new()), "failed"),
        (Behaviour::Answer(400, "Event object is invalid".into()), "refused"),
        (Behaviour::Answer(410, String::new()), "gone"),
        (Behaviour::Redirect("http://169.254.169.254/latest/meta-data".into()), "failed"),
        (Behaviour::Endless(10 << 20), "taken"),
        (Behaviour::Breaks, "failed"),
    ];
    let receiver = Receiver::start(answers.iter().map(|(behaviour, _)| behaviour.clone())).await;
    let to = to(Format::Webhook { url: receiver.url.clone().into(), secret: None });
    for (behaviour, expected) in answers {
        let since = Instant::now();
        let answer = courier().tell(&to, &step(TransitionKind::Firing), NOW).await;
        let name = match &answer {
            Answer::Taken(_) => "taken",
            Answer::Failed(_) => "failed",
            Answer::Refused(_) => "refused",
            Answer::Gone(_) => "gone",
        };
        assert_eq!(name, expected, "{behaviour:?}: {answer:?}");
        assert!(answer.text().len() < 1_000 && !answer.text().contains('\u{202e}'), "{answer:?}");
        assert!(since.elapsed() < Duration::from_secs(3));
    }
    assert_eq!(receiver.requests().len(), 9, "no redirection is followed");
}

#[tokio::test]
async fn a_receiver_that_takes_it_and_does_not_answer_keeps_nobody_waiting() {
    let receiver = Receiver::start([Behaviour::Silent]).await;
    let to = to(Format::Webhook { url: receiver.url.clone().into(), secret: None });
    let since = Instant::now();
    let answer = courier().tell(&to, &step(TransitionKind::Firing), NOW).await;
    assert_eq!(answer, Answer::Failed(format!("no answer within {} s", TIMEOUT.as_secs())));
    assert!(since.elapsed() < TIMEOUT * 3 && receiver.requests().len() == 1);
}

#[tokio::test]
async fn what_is_not_public_is_not_even_connected_to() {
    let receiver = Receiver::start([]).await;
    let port = receiver.url.split(':').nth(2).unwrap().trim_end_matches("/hook").to_owned();
    let closed = Courier::new(Reach::new(&[]), Context::default());
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0"] {
        let format = Format::Webhook { url: format!("http://{host}:{port}/").into(), secret: None };
        let answer = closed.tell(&to(format), &step(TransitionKind::Firing), NOW).await;
        let Answer::Failed(why) = &answer else { panic!("{host}: {answer:?}") };
        assert!(why.contains("is not a public address"), "{host}: {why}");
    }
    assert!(receiver.requests().is_empty());
}

#[tokio::test]
async fn what_is_configured_shows_no_secret() {
    let secret = |text: &str| SecretString::from(format!("https://hooks.example.com/{text}"));
    for format in [
        Format::Webhook { url: secret("hidden"), secret: Some("whsec_hidden".into()) },
        Format::Slack { url: secret("hidden") },
        Format::PagerDuty { url: secret("x"), key: "hidden".into() },
        Format::Alertmanager { url: secret("hidden") },
        Format::Ntfy { url: secret("hidden") },
    ] {
        let destination = to(format);
        let shown = format!("{destination:?} {} {}", destination.host(), destination.address_hash());
        assert!(!shown.contains("hidden") && destination.host() == "hooks.example.com", "{shown}");
    }
}
