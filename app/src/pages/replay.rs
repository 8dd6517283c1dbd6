//! The past: the dashboard as it was. The same store and the same components as the dashboard's, fed by recorded frames, at a clock
//! that stands where the reader puts it.
//!
//! ```text
//!  address ──▶ Moment ──▶ first_replay ──▶ Store, bar              (the server's side, and what the browser starts from)
//!  keys, bar ──▶ Ask ──▶ link ──seek, play, step──▶ server ──frames──▶ Store at the frames' own time
//! ```

#[cfg(feature = "hydrate")]
mod link;
mod said;
#[cfg(test)]
mod tests;

#[cfg(feature = "ssr")]
use crate::{
    ROOT,
    address::{DASHBOARD, METRICS},
    api::{ApiError, packed, replay::first_replay},
};
use crate::{
    address::{self, REPLAY},
    api::{MayAct, Past, replay::FirstReplay},
    components::{
        admin_pages::AdminBar,
        banners::{Banners, StillPage},
        column::ConnectionColumn,
        common::Common,
        dynamic::{Each, Show},
        history::range_bar,
        icon::{Icon, WARNING},
        open_alerts::OpenAlertLines,
        overview::Overview,
        replay::{
            bar::PastBar,
            player::{Ask, Player, SPEED_OF_LIFE, past_text},
        },
        shortcuts::{self, Shortcut},
        summary_strip::SummaryStrip,
        tab_title::keep_tab_title,
        theme_toggle::ThemeToggle,
    },
    model::{
        alert::OpenAlerts,
        connection::{ConnectionId, ConnectionState},
        history::{
            LastOutage, Reliability,
            gap::BUS,
            selection::{Range, Selection},
            view::HistoryView,
        },
        market::new_york_clock,
        past::{ReplayView, step_from},
        status::StatusHead,
        time::UnixMillis,
    },
    store::{
        Store, arrangement::PageArrangement, filter::RowState, link::LinkState, moment::Moment, table::Act,
        view::Column,
    },
};
use leptos::prelude::*;

/// Around a moment that is lost, the full metrics show so much on either side, in milliseconds.
const AROUND_MS: i64 = 300_000;

/// The page at `/admin/replay`, as the server writes it, with what it was made from.
#[cfg(feature = "ssr")]
pub(crate) fn rendered() -> AnyView {
    let query = address::query();
    let (moment, opening) = (Moment::read(&query), PageArrangement::read(&query));
    view! {
        <Suspense>
            {Suspend::new(async move {
                match first_replay(moment.at, moment.window_seconds).await {
                    Ok(Some(first)) => {
                        let start = packed::to_text(&first).ok();
                        view! { <div id=ROOT translate="no" data-start=start><Replay first moment opening/></div> }.into_any()
                    }
                    Ok(None) => view! { <div id=ROOT><Nothing error=None/></div> }.into_any(),
                    Err(error) => view! { <div id=ROOT><Nothing error=Some(error)/></div> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

/// Takes over what the server rendered. False where there is nothing to start from.
#[cfg(feature = "hydrate")]
pub(crate) fn take_over(root: web_sys::HtmlElement) -> bool {
    let Some(first) = crate::api::packed::start_of(&root) else { return false };
    let query = address::query();
    let page =
        move || view! { <Replay first moment=Moment::read(&query) opening=PageArrangement::read(&query)/> }.into_any();
    leptos::mount::hydrate_from(root, page).forget();
    true
}

/// The page, once there is something to start from.
#[component]
pub fn Replay(
    /// What both sides start from.
    first: FirstReplay,
    /// What the address asks for.
    moment: Moment,
    /// How the address asks to arrange the tables.
    opening: PageArrangement,
) -> impl IntoView {
    // Nothing of the past can be changed; what is kept of it is the bar's matter.
    provide_context(MayAct(false));
    provide_context(Past);
    let FirstReplay { view, at, snapshot, missing, email, may_act } = first;
    let store = Store::new(snapshot, PageArrangement { paused: false, symbol: None, ..opening });
    let signals = store.view.clone();
    let shown_at = ArcRwSignal::new(at);
    let player = Player {
        at: RwSignal::from(shown_at.clone()),
        target: RwSignal::new(None),
        playing: RwSignal::new(false),
        speed: RwSignal::new(SPEED_OF_LIFE),
        window_seconds: RwSignal::new(moment.window_seconds),
        connections: RwSignal::new(moment.connections),
        note: RwSignal::new(None),
        missing: RwSignal::new(missing),
    };
    let view = RwSignal::new(view);
    let said = RwSignal::new(past_text(at));
    keep_tab_title({
        let clock = ArcMemo::new(move |_| new_york_clock(shown_at.get()));
        move || ["Past, ", &clock.get(), " New York"].concat()
    });
    let tell_address = {
        let store = store.clone();
        move || {
            let moment = Moment {
                at: Some(player.here_untracked()),
                window_seconds: player.window_seconds.get_untracked(),
                connections: player.connections.get_untracked(),
            };
            address::show(&moment.query(&store.arrangement().query()));
        }
    };
    let on_settled = Callback::new({
        let tell_address = tell_address.clone();
        move |()| {
            let note = player.note.get_untracked().map(|note| [". ", &note].concat()).unwrap_or_default();
            said.set(past_text(player.here_untracked()) + &note);
            tell_address();
        }
    });
    let way = Way::open(&store, player, on_settled);
    let load = keep_bar(view, player);
    let on_ask = Callback::new({
        let tell_address = tell_address.clone();
        move |ask: Ask| {
            let here = player.here_untracked();
            let bounds = view.with_untracked(|view| view.recorded.bounds());
            let seek = move |to: UnixMillis| {
                let Some((first, last)) = bounds else { return };
                let to = to.clamp(first, last);
                player.note.set(None);
                way.seek(to);
            };
            let step = |forward, gaps_only| {
                let found = view.with_untracked(|view| step_from(&view.steps, here, forward, gaps_only).cloned());
                match found {
                    Some(step) => {
                        seek(step.shown_at());
                        player.note.set(Some(step.text));
                    }
                    None => {
                        let what = if gaps_only { "gap" } else { "event" };
                        let where_to = if forward { "later" } else { "earlier" };
                        let text = ["No ", where_to, " ", what, " is known."].concat();
                        said.set(text.clone());
                        player.note.set(Some(text));
                    }
                }
            };
            match ask {
                // Where the reader asks for what is not recorded, it is said.
                Ask::Seek(to) => {
                    player.note.set(None);
                    way.seek(to);
                }
                Ask::Shift(millis) => seek(UnixMillis(here.0 + millis)),
                Ask::Frame(forward) => way.step(forward),
                Ask::Event(forward) => step(forward, false),
                Ask::Gap => step(true, true),
                Ask::First => seek(UnixMillis(0)),
                Ask::Last => {
                    // It goes on meanwhile.
                    load.run(());
                    seek(UnixMillis(i64::MAX));
                }
                Ask::Toggle => way.play(!player.playing.get_untracked()),
                Ask::Speed(place) => {
                    player.speed.set(place);
                    if player.playing.get_untracked() {
                        way.play(true);
                    }
                }
                Ask::Window(seconds) => {
                    player.window_seconds.set(seconds);
                    load.run(());
                    tell_address();
                }
                Ask::Connections(only) => {
                    player.connections.set(only);
                    tell_address();
                }
                Ask::Leave => leave(),
            }
        }
    });
    let keys_on = shortcuts::listen(move |event| {
        let ask = Ask::of_key(&event.key(), event.shift_key(), event.repeat())?;
        let taken = match ask {
            // Space presses buttons, and follows whatever can be opened.
            Ask::Toggle => "a,button,input,select,summary,textarea,[contenteditable]",
            // A table has its own.
            Ask::First | Ask::Last => "input,select,textarea,[contenteditable],.table-scroller",
            _ => "input,select,textarea,[contenteditable]",
        };
        let is_character = !matches!(ask, Ask::Shift(_) | Ask::First | Ask::Last);
        Some(Shortcut { taken, is_character, run: Box::new(move || on_ask.run(ask)) })
    });
    let act = Callback::new(move |(id, act): (ConnectionId, Act)| {
        let arranges = act.arranges();
        store.act(id, act);
        if arranges {
            way.tell_tapes();
            tell_address();
        }
    });

    let link: Signal<LinkState> = RwSignal::from(signals.link.clone()).into();
    let head: Signal<StatusHead> = RwSignal::from(signals.head.clone()).into();
    let now: Signal<Option<UnixMillis>> = RwSignal::from(signals.now.clone()).into();
    let clock: Signal<Option<UnixMillis>> = RwSignal::from(signals.clock.clone()).into();
    let columns: Signal<Vec<Column>> = RwSignal::from(signals.columns.clone()).into();
    let totals = RwSignal::from(signals.totals.clone());
    let alerts: Signal<OpenAlerts> = RwSignal::from(signals.alerts.clone()).into();
    let announcement = RwSignal::from(signals.announcement.clone());
    let common = Memo::new(move |_| head.with(Common::of));
    let down = Memo::new({
        let columns = signals.columns.clone();
        move |_| {
            columns.with(|columns| columns.iter().filter_map(|c| c.live.with(super::monitor::trouble_of)).collect())
        }
    });
    // Of the ledger, what was known then.
    let known: Memo<Vec<Reliability>> = Memo::new(move |_| view.with(|view| known_then(&view.bar, player.at.get())));
    let reliability: Signal<Vec<Reliability>> = known.into();
    let open_gaps = Signal::derive(move || view.with(|view| open_then(&view.bar, player.at.get())));
    let on_stale = Callback::new(move |()| {
        let ids: Vec<_> = columns.with_untracked(|all| all.iter().map(|column| column.id).collect());
        ids.into_iter().for_each(|id| act.run((id, Act::Filter(RowState::Stale.word().to_owned()))));
    });
    let of_state = move |enabled: bool| {
        let columns = signals.columns.clone();
        Memo::new(move |_| {
            let only = player.connections.get();
            let is_shown = |column: &&Column| {
                let is_enabled = column.live.with(|live| live.state != ConnectionState::Disabled);
                is_enabled == enabled && (only.is_empty() || only.contains(column.id))
            };
            columns.with(|all| all.iter().filter(is_shown).map(|c| u64::from(c.id)).collect::<Vec<_>>())
        })
    };
    let (running, disabled) = (of_state(true), of_state(false));
    let show_column = move |key| {
        let column = columns.with_untracked(|all| all.iter().find(|column| u64::from(column.id) == key).cloned())?;
        let id = column.id;
        let on_act = Callback::new(move |done: Act| act.run((id, done)));
        let on_explain = Callback::new(|_| ());
        Some(
            view! { <ConnectionColumn column bus_lost_at=Signal::stored(None) common=common.into() reliability on_act on_explain/> },
        )
    };
    let missing = player.missing;
    let is_stale = move || link.get().is_stale() || missing.with(Option::is_some);
    let nearest = move || view.with(|view| view.recorded.nearest(player.here()));
    view! {
        <div class="monitor replay" class:is-stale=is_stale>
            <a class="skip-link" href="#connections">"Skip to the connections"</a>
            <AdminBar email here=REPLAY><ThemeToggle/></AdminBar>
            <PastBar view=view.into() player said=said.into() may_act keys_on on_ask on_kept=load/>
            <main id="connections" class="page" tabindex="-1">
                <h1 class="visually-hidden">"Replay"</h1>
                <StillPage at/>
                <Show when=move || missing.with(Option::is_some)>
                    <p class="banner" data-tone="warn" role="alert" data-testid="not-recorded">
                        <Icon path=WARNING/>
                        <span>
                            <b>"This moment is not recorded."</b> " " <span class="banner-detail">{move || missing.get()}</span> " "
                            <a href=move || metrics_around(player.here()) rel="external" data-testid="what-is-left">"The full metrics around it"</a>
                            " have its rates, gaps and events."
                        </span>
                        {move || nearest().map(|near| view! {
                            <button type="button" class="button" data-testid="nearest" on:click=move |_| on_ask.run(Ask::Seek(near))>"Go to the nearest moment"</button>
                        })}
                    </p>
                </Show>
                {move || view.with(|view| view.recorded.trouble.clone()).map(|why| view! {
                    <p class="banner" data-tone="warn" role="status" data-testid="recording-trouble"><Icon path=WARNING/> <span><b>"Nothing is being recorded now."</b> " " <span class="banner-detail">{why}</span></span></p>
                })}
                <OpenAlertLines alerts clock/>
                <div class="page-top">
                    <Banners head link now clock altered=Signal::stored(false) opened_paused=Signal::stored(None) on_retry=Callback::new(move |()| way.retry_now()) on_resume=Callback::new(|()| ())/>
                    <SummaryStrip head totals=totals.into() open_gaps down=down.into() clock on_stale/>
                </div>
                <Overview columns common=common.into() reliability/>
                <div class="columns" data-columns=move || running.with(Vec::len).to_string()>
                    <Each keys=move || running.get() view=show_column/>
                </div>
                <div class="columns-disabled" hidden=move || disabled.with(Vec::is_empty)>
                    <Each keys=move || disabled.get() view=show_column/>
                </div>
            </main>
            <p class="visually-hidden" role="status" aria-live="polite" data-testid="announcer">{move || announcement.get()}</p>
        </div>
    }
    .into_any()
}

/// The last outage of each connection, as the ledger had it then. Nothing of what came afterwards.
fn known_then(bar: &HistoryView, at: UnixMillis) -> Vec<Reliability> {
    let of = |connection_id| {
        let before = bar.gaps.iter().filter(|gap| gap.connection_id == connection_id && gap.started_at <= at);
        let last = before.max_by_key(|gap| gap.started_at).map(|gap| LastOutage {
            number: gap.number,
            started_at: gap.started_at,
            ended_at: gap.ended_at.filter(|ended_at| *ended_at <= at),
            cause: gap.cause.label().to_owned(),
        });
        Reliability { connection_id, last, ..Reliability::default() }
    };
    bar.series.iter().map(|series| of(series.connection_id)).collect()
}

/// How many gaps lasted then; `None` where nothing is known.
fn open_then(bar: &HistoryView, at: UnixMillis) -> Option<u64> {
    let lasted = |ended_at: Option<UnixMillis>| ended_at.is_none_or(|ended_at| ended_at > at);
    let open = bar.gaps.iter().filter(|gap| gap.connection_id != BUS && gap.started_at <= at && lasted(gap.ended_at));
    (!bar.series.is_empty()).then(|| open.count() as u64)
}

/// The full metrics around a moment.
fn metrics_around(at: UnixMillis) -> String {
    let range = Range::Between(UnixMillis(at.0 - AROUND_MS), UnixMillis(at.0 + AROUND_MS));
    range_bar::href(&Selection { range, ..Selection::default() })
}

/// To the dashboard.
fn leave() {
    #[cfg(feature = "hydrate")]
    let _ = window().location().set_href(address::DASHBOARD);
}

/// Keeps the moment within the bar: where it has left it, the bar is asked for anew. The callback asks for it in any case.
fn keep_bar(view: RwSignal<ReplayView>, player: Player) -> Callback<()> {
    #[cfg(feature = "hydrate")]
    {
        use std::time::Duration;

        /// What fails is not asked for again before.
        const PAUSE: Duration = Duration::from_secs(2);

        let (loading, again) = (StoredValue::new(false), StoredValue::new(false));
        let load = Callback::new(move |()| {
            if loading.get_value() {
                return again.set_value(true);
            }
            loading.set_value(true);
            leptos::task::spawn_local(async move {
                loop {
                    let asked = (player.here_untracked().0, player.window_seconds.get_untracked());
                    match crate::api::replay::load_replay(asked.0, asked.1).await {
                        Ok(answer) => {
                            view.try_set(answer);
                        }
                        Err(_) => {
                            return set_timeout(
                                move || {
                                    let _ = loading.try_set_value(false);
                                },
                                PAUSE,
                            );
                        }
                    }
                    if again.try_update_value(std::mem::take) != Some(true) {
                        break;
                    }
                }
                loading.try_set_value(false);
            });
        });
        Effect::new(move |_| {
            let at = player.here();
            let is_in = view.with(|view| (view.bar.from..=view.bar.to).contains(&at));
            if !is_in && !loading.get_value() {
                load.run(());
            }
        });
        load
    }
    #[cfg(not(feature = "hydrate"))]
    {
        let _ = (view, player);
        Callback::new(|()| ())
    }
}

/// The way to the recording: the socket in the browser, nothing on the server.
#[derive(Clone, Copy)]
struct Way {
    #[cfg(feature = "hydrate")]
    link: link::KeptLink,
}

impl Way {
    fn open(store: &Store, player: Player, on_settled: Callback<()>) -> Self {
        #[cfg(not(feature = "hydrate"))]
        let _ = (store, player, on_settled, said::Said::read);
        Self {
            #[cfg(feature = "hydrate")]
            link: link::keep(store, player, on_settled),
        }
    }

    fn seek(self, to: UnixMillis) {
        #[cfg(feature = "hydrate")]
        self.link.ask(link::Command::Seek(to));
        #[cfg(not(feature = "hydrate"))]
        let _ = to;
    }

    fn step(self, forward: bool) {
        #[cfg(feature = "hydrate")]
        self.link.ask(link::Command::Step(forward));
        #[cfg(not(feature = "hydrate"))]
        let _ = forward;
    }

    fn play(self, on: bool) {
        #[cfg(feature = "hydrate")]
        self.link.ask(if on { link::Command::Play } else { link::Command::Pause });
        #[cfg(not(feature = "hydrate"))]
        let _ = on;
    }

    fn tell_tapes(self) {
        #[cfg(feature = "hydrate")]
        self.link.tell_tapes();
    }

    fn retry_now(self) {
        #[cfg(feature = "hydrate")]
        self.link.retry_now();
    }
}

/// Why there is nothing to show.
#[cfg(feature = "ssr")]
#[component]
fn Nothing(
    /// What went wrong; `None` where nothing is recorded.
    error: Option<ApiError>,
) -> impl IntoView {
    use leptos::server_fn::axum_export::http::StatusCode;

    let text = match error {
        None => "This server records nothing (RECORDING=false), so the past cannot be shown as it was.",
        Some(ApiError::NotAllowed) => "Only administrators see this page.",
        Some(_) => "The recording is not available right now.",
    };
    if let (Some(error), Some(response)) = (&error, use_context::<leptos_axum::ResponseOptions>())
        && !matches!(error, ApiError::NotAllowed)
    {
        response.set_status(StatusCode::SERVICE_UNAVAILABLE);
    }
    keep_tab_title(|| "Replay".to_owned());
    view! {
        <main class="notice">
            <h1>"No replay"</h1>
            <p role="alert" data-testid="no-replay">{text}</p>
            <p>
                <a class="button button-primary" href=DASHBOARD>"Go to the dashboard"</a> " "
                <a class="button" href=METRICS>"Full metrics"</a>
            </p>
        </main>
    }
}
