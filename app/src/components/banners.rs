//! What an administrator must know before believing any number: our link, the bus, where the status comes from.

use super::{
    format,
    icon::{Icon, WARNING},
};
use crate::{
    model::{
        history::HistoryTrouble,
        status::{StatusHead, StatusSource},
        time::{UnixMillis, format_seconds},
    },
    store::link::{Ended, LinkState},
};
use leptos::prelude::*;

/// One thing that is wrong with the page as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    tone: &'static str,
    title: &'static str,
    detail: String,
    sign_in: bool,
}

/// Every trouble a line; nothing at all when there is none.
#[component]
pub fn Banners(
    /// What is said of all connections together.
    head: Signal<StatusHead>,
    /// Our own socket.
    link: Signal<LinkState>,
    /// The moment the numbers are of.
    now: Signal<Option<UnixMillis>>,
    /// The server's present.
    clock: Signal<Option<UnixMillis>>,
    /// Did somebody else rewrite the document?
    altered: Signal<bool>,
) -> impl IntoView {
    let troubles = Memo::new(move |_| {
        let of_link = link_trouble(link.get(), || clock.get(), || now.get());
        let of_head = head.with(|head| {
            [bus_trouble(head), late_trouble(head), kept_trouble(head), source_trouble(head), history_trouble(head)]
        });
        let of_document = altered.get().then(altered_document);
        of_document.into_iter().chain(of_link).chain(of_head.into_iter().flatten()).collect::<Vec<_>>()
    });
    let any = Memo::new(move |_| troubles.with(|troubles| !troubles.is_empty()));
    view! {
        <Show when=move || any.get()>
            // No live region: it counts down. That the link was lost is the announcer's to say, once.
            <div class="banners" data-testid="banner">
                {move || troubles.get().into_iter().map(line).collect_view()}
            </div>
        </Show>
    }
}

fn line(trouble: Trouble) -> impl IntoView {
    // This page's own address: who asks for it without a session is led to sign in, and back.
    let sign_in = trouble.sign_in.then(|| view! { <a class="button" href="" rel="external">"Sign in"</a> });
    view! {
        <p class="banner" data-tone=trouble.tone>
            <Icon path=WARNING/>
            <span><b>{trouble.title}</b> " " <span class="banner-detail number">{trouble.detail}</span></span>
            {sign_in}
        </p>
    }
}

fn altered_document() -> Trouble {
    Trouble {
        tone: "bad",
        title: "Something in this browser has changed the page.",
        detail: "Numbers may stand still. Switch off translation and extensions for this page, then reload it."
            .to_owned(),
        sign_in: false,
    }
}

fn link_trouble(
    link: LinkState,
    clock: impl Fn() -> Option<UnixMillis>,
    now: impl Fn() -> Option<UnixMillis>,
) -> Option<Trouble> {
    let detail = match link {
        LinkState::Connecting | LinkState::CatchingUp | LinkState::Live => return None,
        LinkState::Lost { attempt, retry_at } => {
            let seconds = retry_at.zip(clock()).map(|(at, clock)| at.millis_since(clock).max(0) as u64 / 1000);
            let next = match seconds {
                Some(0) | None => "trying again now".to_owned(),
                Some(seconds) => "next try in ".to_owned() + &format_seconds(seconds),
            };
            ["Attempt ", &attempt.to_string(), ", ", &next, ". "].concat()
        }
        LinkState::Ended(ended) => ended.text().to_owned() + " ",
    };
    let as_of = now().map(|now| ["Numbers are as of ", &now.clock(), " UTC."].concat()).unwrap_or_default();
    let (title, sign_in) = match link {
        LinkState::Ended(Ended::SignedOut) => ("Signed out.", true),
        LinkState::Ended(Ended::Forbidden) => ("Not allowed.", true),
        _ => ("The link to the monitor is lost.", false),
    };
    Some(Trouble { tone: "bad", title, detail: detail + &as_of, sign_in })
}

fn bus_trouble(head: &StatusHead) -> Option<Trouble> {
    let bus = &head.bus;
    (!bus.connected).then(|| {
        let unknown = || "Redis does not answer; it is tried again without end.".to_owned();
        let since =
            bus.not_publishing_since.map(|since| [". Nothing is published since ", &since.clock(), " UTC."].concat());
        let detail = bus.reason.clone().unwrap_or_else(unknown) + &since.unwrap_or_default();
        Trouble { tone: "bad", title: "The bus carries no ticks.", detail, sign_in: false }
    })
}

fn late_trouble(head: &StatusHead) -> Option<Trouble> {
    let reason = head.bus.reason.as_ref().filter(|_| head.bus.connected)?;
    let detail = [reason, ". Prices here are as late."].concat();
    Some(Trouble { tone: "warn", title: "Ticks come late.", detail, sign_in: false })
}

fn kept_trouble(head: &StatusHead) -> Option<Trouble> {
    let reason = head.bus.status_trouble.as_ref()?;
    let detail = [reason, ". Other dashboards may not see how the connections are; ticks go on."].concat();
    Some(Trouble { tone: "warn", title: "The status is not on Redis.", detail, sign_in: false })
}

fn source_trouble(head: &StatusHead) -> Option<Trouble> {
    let (title, detail) = match head.status_source {
        StatusSource::Reported => return None,
        StatusSource::Stale => ("Status is stale.", "The connection manager has not reported for more than 10 s."),
        StatusSource::Inferred => {
            ("Status is inferred.", "No connection manager reports; states are read off the ticks.")
        }
    };
    Some(Trouble { tone: "warn", title, detail: detail.to_owned(), sign_in: false })
}

fn history_trouble(head: &StatusHead) -> Option<Trouble> {
    let HistoryTrouble { since, reason } = head.history_trouble.as_ref()?;
    let detail = ["Since ", &since.clock(), " UTC: ", reason, ". Ticks and states go on."].concat();
    Some(Trouble { tone: "warn", title: "History is not being kept.", detail, sign_in: false })
}

/// What is wrong with how the server is set up: stays until it is put right and the page is loaded anew.
#[component]
pub fn Warnings(
    /// A sentence or two each.
    texts: Vec<String>,
) -> impl IntoView {
    (!texts.is_empty()).then(|| {
        let warning = |text| {
            view! {
                <p class="banner" data-tone="warn">
                    <Icon path=WARNING/>
                    <span><b>"The server is not set up right."</b> " " <span class="banner-detail">{text}</span></span>
                </p>
            }
        };
        view! {
            <div class="banners" data-testid="warnings">{texts.into_iter().map(warning).collect_view()}</div>
        }
    })
}

/// Shown by the style sheet when the browser's side did not start, not yet or not at all, when it broke, and without
/// JavaScript. `at` is when the page was made.
#[component]
pub fn StillPage(
    /// When the page was rendered.
    at: UnixMillis,
) -> impl IntoView {
    let text = [
        "The page was made at ",
        &format::clock(Some(at)),
        " UTC and does not change by itself. Reloading it shows the present.",
    ]
    .concat();
    view! {
        <p class="banner still-page" data-tone="warn" role="note">
            <Icon path=WARNING/>
            <span><b>"The live view is not running."</b> " " <span class="banner-detail number">{text}</span></span>
            // The page's own address. A plain link: no code of ours may be left to do it.
            <a class="button" href="" rel="external">"Reload"</a>
        </p>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::BusStatus;

    #[test]
    fn a_lost_link_says_when_it_is_tried_and_how_old_the_numbers_are() {
        let lost = LinkState::Lost { attempt: 2, retry_at: Some(UnixMillis(5_000)) };
        let trouble = link_trouble(lost, || Some(UnixMillis(1_000)), || Some(UnixMillis(0))).expect("a trouble");
        assert_eq!(trouble.detail, "Attempt 2, next try in 4 s. Numbers are as of 00:00:00 UTC.");
        assert_eq!(link_trouble(LinkState::Live, || None, || None), None);
        assert!(link_trouble(LinkState::Ended(Ended::SignedOut), || None, || None).expect("a trouble").sign_in);
    }

    #[test]
    fn a_dead_bus_and_a_guessed_status_are_said() {
        let bus = BusStatus { reason: Some("connection refused".into()), ..BusStatus::default() };
        let head = StatusHead { bus, status_source: StatusSource::Inferred, ..StatusHead::default() };
        assert_eq!(bus_trouble(&head).expect("a trouble").detail, "connection refused");
        assert_eq!(source_trouble(&head).expect("a trouble").title, "Status is inferred.");
        assert_eq!((late_trouble(&head), kept_trouble(&head)), (None, None));
        assert_eq!(history_trouble(&head), None);
        let trouble = HistoryTrouble { since: UnixMillis(0), reason: "database or disk is full".into() };
        let head = StatusHead { history_trouble: Some(trouble), ..StatusHead::default() };
        let told = history_trouble(&head).expect("a trouble").detail;
        assert_eq!(told, "Since 00:00:00 UTC: database or disk is full. Ticks and states go on.");
    }

    #[test]
    fn a_bus_that_is_late_or_refuses_the_status_says_so_and_carries_ticks() {
        let bus = BusStatus {
            connected: true,
            reason: Some("Redis is 7.6 s behind".into()),
            status_trouble: Some("Redis does not keep the status: MISCONF".into()),
            ..BusStatus::default()
        };
        let head = StatusHead { bus, ..StatusHead::default() };
        assert_eq!(bus_trouble(&head), None);
        assert_eq!(late_trouble(&head).expect("late").detail, "Redis is 7.6 s behind. Prices here are as late.");
        assert!(kept_trouble(&head).expect("not kept").detail.starts_with("Redis does not keep the status: MISCONF. "));
        let reason = Some("Redis does not take ticks: it did not answer within 2 s".into());
        let bus = BusStatus { reason, not_publishing_since: Some(UnixMillis(0)), ..BusStatus::default() };
        let told = bus_trouble(&StatusHead { bus, ..StatusHead::default() }).expect("a trouble").detail;
        let expected =
            "Redis does not take ticks: it did not answer within 2 s. Nothing is published since 00:00:00 UTC.";
        assert_eq!(told, expected);
    }
}
