//! What an administrator must know before believing any number: our link, the bus, where the status comes from.

use super::{
    dynamic::{Each, Show, key_of},
    format,
    icon::{Icon, WARNING},
};
use crate::{
    model::{
        history::HistoryTrouble,
        servers::differences,
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
    offer: Option<Offer>,
}

/// What the page can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    SignIn,
    Reload,
    Retry,
    Resume,
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
    /// Since when prices stand still, where the address paused the page when it was opened.
    opened_paused: Signal<Option<UnixMillis>>,
    /// Try the link again now.
    on_retry: Callback<()>,
    /// Let the view go on.
    on_resume: Callback<()>,
) -> impl IntoView {
    let troubles = Memo::new(move |_| {
        let of_link = link_trouble(link.get(), || clock.get(), || now.get());
        let of_head = head.with(|head| {
            [
                bus_trouble(head),
                late_trouble(head),
                kept_trouble(head),
                source_trouble(head),
                history_trouble(head),
                servers_trouble(head),
            ]
        });
        let of_document = altered.get().then(altered_document);
        let of_pause = opened_paused.get().map(opened_paused_note);
        let of_head = of_head.into_iter().flatten();
        of_document.into_iter().chain(of_link).chain(of_head).chain(of_pause).collect::<Vec<_>>()
    });
    let any = Memo::new(move |_| troubles.with(|troubles| !troubles.is_empty()));
    // A line stays while its text counts down: its button may have the focus.
    let line = move |key| {
        let newest = move || troubles.with(|all| all.iter().find(|trouble| key_of(trouble.title) == key).cloned());
        let first = untrack(newest)?;
        let trouble = Memo::new(move |before: Option<&Trouble>| {
            newest().or_else(|| before.cloned()).unwrap_or_else(|| first.clone())
        });
        Some(view! { <Line trouble on_retry on_resume/> })
    };
    let keys = move || troubles.with(|all| all.iter().map(|trouble| key_of(trouble.title)).collect());
    view! {
        <Show when=move || any.get()>
            // No live region: it counts down. That the link was lost is the announcer's to say, once.
            <div class="banners" data-testid="banner">
                <Each keys view=line/>
            </div>
        </Show>
    }
}

#[component]
fn Line(trouble: Memo<Trouble>, on_retry: Callback<()>, on_resume: Callback<()>) -> impl IntoView {
    let (tone, title) = trouble.with_untracked(|trouble| (trouble.tone, trouble.title));
    let offer = Memo::new(move |_| trouble.with(|trouble| trouble.offer));
    let button = move || {
        match offer.get() {
        None => ().into_any(),
        // This page's own address: who asks for it without a session is led to sign in, and back.
        Some(Offer::SignIn) => view! { <a class="button" href="" rel="external">"Sign in"</a> }.into_any(),
        Some(Offer::Reload) => view! { <a class="button" href="" rel="external">"Reload"</a> }.into_any(),
        Some(Offer::Retry) => view! {
            <button type="button" class="button" data-testid="retry-link" on:click=move |_| on_retry.run(())>"Retry now"</button>
        }
        .into_any(),
        Some(Offer::Resume) => view! {
            <button type="button" class="button" data-testid="resume" on:click=move |_| on_resume.run(())>"Resume"</button>
        }
        .into_any(),
    }
    };
    view! {
        <p class="banner" data-tone=tone>
            <Icon path=WARNING/>
            <span><b>{title}</b> " " <span class="banner-detail number">{move || trouble.with(|trouble| trouble.detail.clone())}</span></span>
            {button}
        </p>
    }
}

/// Who follows a link to a paused page did not press Pause, and must not take old prices for the present.
fn opened_paused_note(since: UnixMillis) -> Trouble {
    Trouble {
        tone: "info",
        title: "The link you opened pauses this page.",
        detail: ["Prices are as of ", &since.clock(), " UTC; states and metrics are live."].concat(),
        offer: Some(Offer::Resume),
    }
}

fn altered_document() -> Trouble {
    Trouble {
        tone: "bad",
        title: "Something in this browser has changed the page.",
        detail: "Numbers may have stopped updating. Turn off translation and extensions for this page, then reload it."
            .to_owned(),
        offer: None,
    }
}

fn link_trouble(
    link: LinkState,
    clock: impl Fn() -> Option<UnixMillis>,
    now: impl Fn() -> Option<UnixMillis>,
) -> Option<Trouble> {
    let detail = match link {
        LinkState::Connecting | LinkState::CatchingUp | LinkState::Live => return None,
        LinkState::Lost { attempt, retry_at, http_works } => {
            let seconds = retry_at.zip(clock()).map(|(at, clock)| at.millis_since(clock).max(0) as u64 / 1000);
            let next = match seconds {
                Some(0) | None => "retrying now".to_owned(),
                Some(seconds) => "next one in ".to_owned() + &format_seconds(seconds),
            };
            let advice = if http_works {
                ". The server answers, but WebSockets do not get through: check that the proxy in front passes upgrades, and \
                 close other pages. "
            } else {
                ". If it stays, check that the server is running. "
            };
            ["Attempt ", &attempt.to_string(), ", ", &next, advice].concat()
        }
        LinkState::Ended(ended) => ended.text().to_owned() + " ",
    };
    let as_of = now().map(|now| ["Numbers are as of ", &now.clock(), " UTC."].concat()).unwrap_or_default();
    let (title, offer) = match link {
        LinkState::Ended(Ended::SignedOut) => ("Signed out.", Offer::SignIn),
        LinkState::Ended(Ended::Forbidden) => ("Not allowed.", Offer::SignIn),
        LinkState::Ended(Ended::Unreadable) => ("Page out of date.", Offer::Reload),
        _ => ("Connection to the monitor lost.", Offer::Retry),
    };
    Some(Trouble { tone: "bad", title, detail: detail + &as_of, offer: Some(offer) })
}

fn bus_trouble(head: &StatusHead) -> Option<Trouble> {
    let bus = &head.bus;
    (!bus.connected).then(|| {
        let reason = bus.reason.as_deref().unwrap_or("Redis does not answer");
        let since = bus.not_publishing_since.map(|at| [" Nothing published since ", &at.clock(), " UTC."].concat());
        let detail =
            [reason, ".", &since.unwrap_or_default(), " Check Redis; it is retried every few seconds."].concat();
        Trouble { tone: "bad", title: "No ticks are arriving over Redis.", detail, offer: None }
    })
}

fn late_trouble(head: &StatusHead) -> Option<Trouble> {
    let reason = head.bus.reason.as_ref().filter(|_| head.bus.connected)?;
    let detail = [reason, ". Prices on this page are just as late. Check Redis' load and the network."].concat();
    Some(Trouble { tone: "warn", title: "Ticks are delayed.", detail, offer: None })
}

fn kept_trouble(head: &StatusHead) -> Option<Trouble> {
    let reason = head.bus.status_trouble.as_ref()?;
    let detail = [
        reason,
        ". Other dashboards may not see connection states; ticks are not affected. Check Redis' disk and memory limit.",
    ]
    .concat();
    Some(Trouble { tone: "warn", title: "Status could not be written to Redis.", detail, offer: None })
}

fn source_trouble(head: &StatusHead) -> Option<Trouble> {
    let (title, detail) = match head.status_source {
        StatusSource::Reported => return None,
        StatusSource::Stale => (
            "Status is stale.",
            "The connection manager has not reported for more than 10 s; the states shown are the last reported ones. Check the ingest.",
        ),
        StatusSource::Inferred => (
            "Status is inferred.",
            "No connection manager is reporting; states are estimated from tick flow. Normal with producers that publish ticks only.",
        ),
    };
    Some(Trouble { tone: "warn", title, detail: detail.to_owned(), offer: None })
}

fn history_trouble(head: &StatusHead) -> Option<Trouble> {
    let HistoryTrouble { since, reason } = head.history_trouble.as_ref()?;
    let detail =
        ["Since ", &since.clock(), " UTC: ", reason, ". Live data is not affected. Check the database's disk."]
            .concat();
    Some(Trouble { tone: "warn", title: "History is not being recorded.", detail, offer: None })
}

fn servers_trouble(head: &StatusHead) -> Option<Trouble> {
    let detail = differences(&head.servers, head.generated_at)?;
    Some(Trouble { tone: "warn", title: "Servers differ.", detail, offer: None })
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
                    <span><b>"Server misconfigured."</b> " " <span class="banner-detail">{text}</span></span>
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
        "This page was loaded at ",
        &format::clock(Some(at)),
        " UTC and does not update by itself. Reload it for current data.",
    ]
    .concat();
    view! {
        <p class="banner still-page" data-tone="warn" role="note">
            <Icon path=WARNING/>
            <span><b>"Live updates are not running."</b> " " <span class="banner-detail number">{text}</span></span>
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
        let lost = |http_works| LinkState::Lost { attempt: 2, retry_at: Some(UnixMillis(5_000)), http_works };
        let told = |link| link_trouble(link, || Some(UnixMillis(1_000)), || Some(UnixMillis(0))).expect("a trouble");
        let trouble = told(lost(false));
        assert_eq!(
            trouble.detail,
            "Attempt 2, next one in 4 s. If it stays, check that the server is running. Numbers are as of 00:00:00 UTC."
        );
        assert_eq!(
            told(lost(true)).detail,
            "Attempt 2, next one in 4 s. The server answers, but WebSockets do not get through: check that the proxy in front passes upgrades, and close other pages. Numbers are as of 00:00:00 UTC."
        );
        assert_eq!(link_trouble(LinkState::Live, || None, || None), None);
        assert_eq!(trouble.offer, Some(Offer::Retry));
        let ended = link_trouble(LinkState::Ended(Ended::SignedOut), || None, || None).expect("a trouble");
        assert_eq!(ended.offer, Some(Offer::SignIn));
        let old =
            link_trouble(LinkState::Ended(Ended::Unreadable), || None, || Some(UnixMillis(0))).expect("a trouble");
        assert_eq!((old.title, old.offer), ("Page out of date.", Some(Offer::Reload)));
    }

    #[test]
    fn a_page_that_its_address_paused_says_so_and_offers_to_go_on() {
        let note = opened_paused_note(UnixMillis(0));
        assert_eq!((note.tone, note.offer), ("info", Some(Offer::Resume)));
        assert!(note.detail.starts_with("Prices are as of 00:00:00 UTC"), "{}", note.detail);
    }

    #[test]
    fn a_dead_bus_and_a_guessed_status_are_said() {
        let bus = BusStatus { reason: Some("connection refused".into()), ..BusStatus::default() };
        let head = StatusHead { bus, status_source: StatusSource::Inferred, ..StatusHead::default() };
        assert_eq!(
            bus_trouble(&head).expect("a trouble").detail,
            "connection refused. Check Redis; it is retried every few seconds."
        );
        assert_eq!(source_trouble(&head).expect("a trouble").title, "Status is inferred.");
        assert_eq!((late_trouble(&head), kept_trouble(&head)), (None, None));
        assert_eq!(history_trouble(&head), None);
        let trouble = HistoryTrouble { since: UnixMillis(0), reason: "database or disk is full".into() };
        let head = StatusHead { history_trouble: Some(trouble), ..StatusHead::default() };
        let told = history_trouble(&head).expect("a trouble").detail;
        assert_eq!(
            told,
            "Since 00:00:00 UTC: database or disk is full. Live data is not affected. Check the database's disk."
        );
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
        assert_eq!(
            late_trouble(&head).expect("late").detail,
            "Redis is 7.6 s behind. Prices on this page are just as late. Check Redis' load and the network."
        );
        assert!(kept_trouble(&head).expect("not kept").detail.starts_with("Redis does not keep the status: MISCONF. "));
        let reason = Some("Redis does not take ticks: it did not answer within 2 s".into());
        let bus = BusStatus { reason, not_publishing_since: Some(UnixMillis(0)), ..BusStatus::default() };
        let told = bus_trouble(&StatusHead { bus, ..StatusHead::default() }).expect("a trouble").detail;
        let expected = "Redis does not take ticks: it did not answer within 2 s. Nothing published since 00:00:00 UTC. Check Redis; it is retried every few seconds.";
        assert_eq!(told, expected);
    }
}
