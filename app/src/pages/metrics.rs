//! The full metrics: history in charts, the gap ledger, the timeline. Rendered on the server with real data, live at its
//! right edge once hydrated.
//!
//! ```text
//!  address ──▶ Selection ──▶ load_history ──▶ HistoryView ──▶ charts, ledger, timeline
//!                                  ▲               │
//!                                  └── since ── every few seconds, while the range ends in the present
//! ```

use crate::{
    address::METRICS,
    api::{
        ApiError, IsRecording, MayAct,
        history::{AcknowledgeGap, HistoryAnswer, load_history},
    },
    components::{
        banners::StillPage,
        history::{
            charts::Charts, context::ChartContext, gap_ledger::GapLedger, history_bar::HistoryBar, range_bar::RangeBar,
            timeline::Timeline,
        },
        icon::{Icon, WARNING},
        tab_title::keep_tab_title,
    },
    model::history::{
        selection::{Range, Selection},
        view::HistoryView,
    },
    store::link::{Ended, LinkState},
};
use leptos::{ev, prelude::*};
use leptos_router::{
    components::{FlatRoutes, Route, Router},
    hooks::use_query_map,
    path,
};

/// The page, with a router for the links to other ranges of it.
pub(crate) fn page() -> AnyView {
    view! {
        <Router>
            <FlatRoutes fallback=|| ()>
                <Route path=path!("/admin/metrics") view=MetricsPage/>
            </FlatRoutes>
        </Router>
    }
    .into_any()
}

/// The page at `/admin/metrics`.
#[component]
pub fn MetricsPage() -> impl IntoView {
    let query = use_query_map();
    let focused = StoredValue::new(String::new());
    let selection = Memo::new(move |_| query.with(|query| Selection::read(|name| query.get(name))));
    let refusal = Memo::new(move |_| query.with(|query| Selection::refusal(|name| query.get(name))));
    let asked = move || (selection.get(), refusal.get());
    let history = Resource::new_blocking(asked, |(selection, refusal)| async move {
        match refusal {
            Some(why) => Err(ApiError::Refused(why)),
            None => load_history(selection.query(), None).await,
        }
    });
    keep_tab_title(|| "Full metrics".to_owned());
    view! {
        <Transition fallback=|| view! { <p class="notice" aria-busy="true">"Loading history…"</p> }>
            {move || Suspend::new(async move {
                match history.await {
                    Ok(answer) => view! { <Metrics answer selection=selection.get_untracked() asked=selection.into() focused/> }.into_any(),
                    Err(error) => view! { <Unavailable error/> }.into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

/// The page, once there is something to show.
#[component]
pub fn Metrics(
    /// What both sides start from.
    answer: HistoryAnswer,
    /// What is selected.
    selection: Selection,
    /// What the address asks for by now, while that loads.
    asked: Signal<Selection>,
    /// The name of what has the focus, from one choice to the next.
    #[prop(optional)]
    focused: Option<StoredValue<String>>,
) -> impl IntoView {
    let HistoryAnswer { view, email, may_act, recording } = answer;
    provide_context(MayAct(may_act));
    provide_context(IsRecording(recording));
    let rendered_at = view.at;
    // What the server chose where the address says nothing, and what is asked for from now on.
    let selection = Selection { range: selection.range.fitted(view.began, view.at), ..selection };
    let asked = Signal::derive({
        let range = selection.range;
        // What the server chose counts where a choice says nothing of the range.
        move || {
            let asked = asked.get();
            let range = if asked.range == Range::Fitting { range } else { asked.range };
            Selection { range, ..asked }
        }
    });
    let shown = RwSignal::new(view);
    let (failed, answered) = (RwSignal::new(None), RwSignal::new(false));
    let acknowledge = ServerAction::<AcknowledgeGap>::new();
    keep_live(selection, shown, failed, answered, acknowledge);
    let view: Signal<HistoryView> = shown.into();
    let context = ChartContext::new(view, selection);
    let on_focus = keep_focus(focused);
    let link = Signal::derive(move || link(failed.get(), answered.get()));
    view! {
        <div class="history" class:is-stale=move || failed.get().is_some() on:focusin=on_focus>
            <a class="skip-link" href="#charts" rel="external">"Skip to the charts"</a>
            <HistoryBar email view link/>
            <main class="page" tabindex="-1">
                <h1 class="visually-hidden">"Full metrics"</h1>
                <StillPage at=rendered_at/>
                <RangeBar selection asked view/>
                <Notes selection view failed=failed.into()/>
                <div class="history-body">
                    <div id="charts"><Charts context/></div>
                    <aside class="records" aria-label="Gaps and events">
                        <GapLedger context acknowledge/>
                        <Timeline context/>
                    </aside>
                </div>
            </main>
        </div>
    }
}

/// Every choice makes the page anew. Who made it with the keyboard goes on where they were: at what has the same name.
fn keep_focus(focused: Option<StoredValue<String>>) -> impl Fn(ev::FocusEvent) + 'static {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;

        Effect::new(move |_| {
            request_animation_frame(move || {
                let was_at = focused.and_then(|focused| focused.try_get_value()).filter(|name| !name.is_empty());
                let is_lost = document().active_element().is_none_or(|at| at.tag_name().eq_ignore_ascii_case("body"));
                let element = was_at.filter(|_| is_lost).and_then(|name| document().get_element_by_id(&name));
                if let Some(element) = element.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok()) {
                    let _ = element.focus();
                }
            });
        });
        move |event| {
            let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
            if let (Some(focused), Some(target)) = (focused, target) {
                focused.set_value(target.id());
            }
        }
    }
    #[cfg(not(feature = "hydrate"))]
    move |_| {
        let _ = focused;
    }
}

/// What to know before believing a chart: how fresh it is, and whether history is being kept.
#[component]
fn Notes(selection: Selection, view: Signal<HistoryView>, failed: Signal<Option<Failure>>) -> impl IntoView {
    let at = move || view.with(|view| view.at.clock());
    let trouble = move || {
        view.with(|view| {
            let trouble = view.trouble.as_ref()?;
            Some([&trouble.since.clock(), " UTC: ", &trouble.reason].concat())
        })
    };
    let freshness = move || match (selection.range.is_live(), failed.get()) {
        (true, None) => ["Live, as of ", &at(), " UTC"].concat(),
        (true, Some(_)) => ["As of ", &at(), " UTC"].concat(),
        (false, _) => "Fixed range, not live".to_owned(),
    };
    let failure = move |failure: Failure| {
        let (title, sign_in) = match failure {
            Failure::Ended(Ended::SignedOut) => ("Signed out.", true),
            Failure::Ended(Ended::Forbidden) => ("Not allowed.", true),
            Failure::Ended(Ended::Unreadable) => ("Page out of date.", false),
            Failure::Silent => ("The monitor is not responding.", false),
        };
        view! {
            <p class="banner" data-tone="bad" role="alert" data-testid="not-live"><Icon path=WARNING/>
                <span><b>{title}</b> " " <span class="banner-detail number">"This page has stopped updating; its data is as of " {at} " UTC."</span></span>
                {sign_in.then(|| view! { <a class="button" href="" rel="external">"Sign in"</a> })}
            </p>
        }
    };
    view! {
        <p class="freshness number" data-testid="freshness" data-live=move || (selection.range.is_live() && failed.get().is_none()).then_some("")>{freshness}</p>
        {move || failed.get().map(failure)}
        {move || view.with(HistoryView::emptiness).map(|why| view! {
            <p class="banner" data-tone="info" role="status" data-testid="no-history"><b>{why}</b></p>
        })}
        {move || trouble().map(|text| view! {
            <p class="banner" data-tone="bad" role="alert" data-testid="history-trouble"><Icon path=WARNING/>
                <span><b>"History has not been recorded since "</b><span class="banner-detail number">{text}</span></span>
            </p>
        })}
    }
}

/// Asks for what is new, at once and then every few seconds: as often as a bucket ends, but at least twice a minute. A range
/// that is over is asked for too: gaps that it touches may end or be acknowledged, and the bar says whether the monitor
/// answers.
fn keep_live(
    selection: Selection,
    shown: RwSignal<HistoryView>,
    failed: RwSignal<Option<Failure>>,
    answered: RwSignal<bool>,
    acknowledge: ServerAction<AcknowledgeGap>,
) {
    #[cfg(feature = "hydrate")]
    {
        use std::time::Duration;

        let refresh = move || {
            // A session that has ended does not come back by asking.
            if !failed.try_with_untracked(|failed| asks_on(*failed)).unwrap_or(false) {
                return;
            }
            leptos::task::spawn_local(async move {
                let Some((since, now)) = shown.try_with_untracked(|view| (view.resume_at(), view.at)) else { return };
                let answer = load_history(selection.query(), Some(since.0)).await;
                let failure = match &answer {
                    Ok(_) => None,
                    Err(_) => Some(why_not().await),
                };
                // Said anew only when it changed.
                failed.try_maybe_update(|failed| (std::mem::replace(failed, failure) != failure, ()));
                let Ok(HistoryAnswer { view: tail, .. }) = answer else { return };
                answered.try_maybe_update(|answered| (!std::mem::replace(answered, true), ()));
                // An answer that was overtaken by a newer one.
                if tail.at < now {
                    return;
                }
                let fits = shown.try_maybe_update(|view| {
                    let (from, to) = selection.range.bounds(tail.at);
                    let fits = view.extend(tail, to.millis_since(from));
                    (fits, fits)
                });
                if fits == Some(false)
                    && let Ok(answer) = load_history(selection.query(), None).await
                {
                    shown.try_set(answer.view);
                }
            });
        };
        let seconds = u64::from(shown.with_untracked(|view| view.bucket_seconds)).clamp(2, 30);
        let seconds = if selection.range.is_live() { seconds } else { 30 };
        Effect::new(move |_| {
            refresh();
            if let Ok(interval) = set_interval_with_handle(refresh, Duration::from_secs(seconds)) {
                on_cleanup(move || interval.clear());
            }
        });
        // What was acknowledged shows at once.
        Effect::new(move |_| {
            if acknowledge.version().get() > 0 {
                refresh();
            }
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (selection, shown, failed, answered, acknowledge);
}

/// What the bar says of the way to the monitor. This page has no socket: it is live while its questions are answered.
fn link(failed: Option<Failure>, answered: bool) -> LinkState {
    match failed {
        Some(Failure::Ended(ended)) => LinkState::Ended(ended),
        Some(Failure::Silent) => LinkState::Lost { attempt: 1, retry_at: None, http_works: false },
        None if answered => LinkState::Live,
        None => LinkState::Connecting,
    }
}

/// Why nothing new comes; known in the browser alone.
#[cfg_attr(not(any(feature = "hydrate", test)), expect(dead_code, reason = "the server's side never fails"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The session does not allow it any more.
    Ended(Ended),
    /// No answer, or none that helps.
    Silent,
}

/// Is there any use in asking again?
#[cfg(any(feature = "hydrate", test))]
fn asks_on(failed: Option<Failure>) -> bool {
    !matches!(failed, Some(Failure::Ended(_)))
}

/// The answer of a server function does not tell a lost session from a lost server: a request does whose status can be read.
#[cfg(feature = "hydrate")]
async fn why_not() -> Failure {
    let answer = gloo_net::http::Request::get(crate::api::STATUS_UNASKED).send().await;
    answer.ok().and_then(|answer| Ended::of_http(answer.status())).map_or(Failure::Silent, Failure::Ended)
}

/// Why there is no history.
#[component]
fn Unavailable(error: ApiError) -> impl IntoView {
    let (title, text, there, name) = match error {
        ApiError::Refused(why) => ("No such range", why, METRICS, "Show recent history"),
        error => {
            let text = match error {
                ApiError::NotAllowed => "Only administrators see this page.",
                _ => "History is unavailable: the database does not answer. The dashboard still works.",
            };
            ("Metrics unavailable", text.to_owned(), "/admin/websockets", "Go to the dashboard")
        }
    };
    #[cfg(feature = "ssr")]
    if let (METRICS, Some(response)) = (there, use_context::<leptos_axum::ResponseOptions>()) {
        response.set_status(leptos::server_fn::axum_export::http::StatusCode::BAD_REQUEST);
    }
    view! {
        <main class="notice">
            <h1>{title}</h1>
            <p role="alert" data-testid="refused">{text}</p>
            <p><a class="button button-primary" href=there rel="external">{name}</a></p>
        </main>
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests;
