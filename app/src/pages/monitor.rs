//! The dashboard: loads the first view, keeps the state, opens the socket.

mod page_events;
mod shortcuts;

#[cfg(feature = "ssr")]
use crate::{
    ROOT,
    address::{DASHBOARD, LOGIN},
    api::{ApiError, first_view, packed},
};
use crate::{
    address,
    api::{FirstView, MayAct},
    components::{
        banners::{Banners, StillPage, Warnings},
        column::ConnectionColumn,
        common::Common,
        dynamic::Each,
        help::{self, Help},
        open_alerts::OpenAlertLines,
        overview::Overview,
        refresh_panel::RefreshPanel,
        reliability_note::{keep_reliability, open_gaps},
        search_state::{FIELD, SymbolSearch},
        summary_strip::SummaryStrip,
        symbol_search::PanelPlace,
        tab_title::keep_tab_title,
        top_bar::TopBar,
    },
    model::{
        alert::OpenAlerts,
        connection::{ConnectionId, ConnectionState},
        health::LayerState,
        status::{ConnectionLive, StatusHead},
        time::UnixMillis,
    },
    store::{
        Store,
        arrangement::{DataView, PageArrangement},
        filter::RowState,
        link::LinkState,
        refresh::Refresh,
        socket,
        table::Act,
        view::{Column, Totals},
    },
};
use leptos::{html, prelude::*};
use shortcuts::Shortcut;

/// The page at `/admin/websockets`, as the server writes it, with what it was made from: the browser starts from the same, so
/// that both render the same.
#[cfg(feature = "ssr")]
pub(crate) fn rendered() -> AnyView {
    let opening = PageArrangement::read(&address::query());
    view! {
        <Suspense>
            {Suspend::new(async move {
                let first = first_view().await;
                let start = first.as_ref().ok().and_then(|first| packed::to_text(first).ok());
                match first {
                    Ok(first) => {
                        // A translator would put elements of its own around every text, and what is written there next is
                        // not seen.
                        view! { <div id=ROOT translate="no" data-start=start><Monitor first opening/></div> }.into_any()
                    }
                    Err(error) => view! { <div id=ROOT><Unavailable error/></div> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

/// The dashboard as the browser makes it, arranged as its address asks.
#[cfg(feature = "hydrate")]
pub(crate) fn page(first: FirstView) -> AnyView {
    view! { <Monitor first opening=PageArrangement::read(&crate::address::query())/> }.into_any()
}

/// The dashboard, once there is something to start from.
#[component]
pub fn Monitor(
    /// What both sides start from.
    first: FirstView,
    /// How the address asks to arrange it.
    opening: PageArrangement,
) -> impl IntoView {
    provide_context(MayAct(first.may_act));
    let is_wall = first.email.starts_with("screen:");
    let rendered_at = first.snapshot.report.live.head.generated_at;
    let search = SymbolSearch::new(opening.symbol);
    let store = Store::new(first.snapshot, opening);
    let signals = store.view.clone();
    let kept_link = socket::keep(&store);

    let link: Signal<LinkState> = RwSignal::from(signals.link.clone()).into();
    let head: Signal<StatusHead> = RwSignal::from(signals.head.clone()).into();
    let now: Signal<Option<UnixMillis>> = RwSignal::from(signals.now.clone()).into();
    let clock: Signal<Option<UnixMillis>> = RwSignal::from(signals.clock.clone()).into();
    let altered: Signal<bool> = RwSignal::from(signals.altered.clone()).into();
    let paused: Signal<bool> = RwSignal::from(signals.paused.clone()).into();
    let frozen_at: Signal<Option<UnixMillis>> = RwSignal::from(signals.frozen_at.clone()).into();
    let opened_paused = RwSignal::from(signals.opened_paused.clone());
    let paused_by_link = Signal::derive(move || opened_paused.get().then(|| frozen_at.get()).flatten());
    let columns = RwSignal::from(signals.columns.clone());
    let totals = RwSignal::from(signals.totals.clone());
    let announcement = RwSignal::from(signals.announcement.clone());
    let down = Memo::new({
        let columns = signals.columns.clone();
        move |_| {
            columns.with(|columns| columns.iter().filter_map(|column| column.live.with(trouble_of)).collect::<Vec<_>>())
        }
    });
    let ledger_changed_at: Signal<UnixMillis> = RwSignal::from(signals.ledger_changed_at.clone()).into();
    let alerts: Signal<OpenAlerts> = RwSignal::from(signals.alerts.clone()).into();
    let reliability = keep_reliability(first.reliability, ledger_changed_at, link);
    let open_gaps = Signal::derive(move || reliability.with(|all| open_gaps(all)));
    let common = Memo::new(move |_| head.with(Common::of));
    let bus_up = Memo::new(move |_| head.with(|head| head.bus.connected));
    // The moment at which the bus fell silent, as far as this page saw it.
    let bus_lost_at = Memo::new(move |before: Option<&Option<UnixMillis>>| {
        let known = before.copied().flatten();
        if bus_up.get() { None } else { known.or_else(|| now.get_untracked()) }
    });
    keep_tab_title({
        let (head, totals, link) = (signals.head.clone(), signals.totals.clone(), signals.link.clone());
        move || head.with(|head| title(head, totals.get(), link.get()))
    });

    let tell_address = {
        let store = store.clone();
        move || address::show(&PageArrangement { symbol: search.open.get_untracked(), ..store.arrangement() }.query())
    };
    let on_pause = Callback::new({
        let (store, tell_address) = (store.clone(), tell_address.clone());
        move |()| {
            store.toggle_pause(local_now());
            kept_link.ask_for_frame();
            tell_address();
        }
    });
    let act = Callback::new({
        let (store, tell_address) = (store.clone(), tell_address.clone());
        move |(id, act): (ConnectionId, Act)| {
            if let Act::Open(symbol) = act {
                // Whoever selects text ends with a click.
                if !page_events::is_text_selected() {
                    search.open.set(Some(store.name_of(id, symbol)));
                }
                return;
            }
            let changes_the_address = act.arranges();
            store.act(id, act);
            if changes_the_address {
                kept_link.tell_tapes();
                tell_address();
            }
        }
    });
    Effect::new(move |before: Option<_>| {
        let open = search.open.get();
        if before.is_some_and(|before| before != open) {
            tell_address();
        }
        open
    });
    let on_show = Callback::new({
        let store = store.clone();
        move |name| {
            let Some(found) = store.named(name) else { return };
            let id = found.connection_id;
            act.run((id, Act::Find(found.symbol)));
            shortcuts::unfold_and_focus(&format!("fold-data-{id}"), format!("table-{id}"));
        }
    });
    search.keep(&store, on_show);
    // The connections whose silence is as it should be count none as stale.
    let on_stale = Callback::new(move |()| {
        let is_counted =
            |column: &&Column| column.live.with_untracked(|live| live.health.data.state != LayerState::Quiet);
        let ids: Vec<_> = columns.with_untracked(|all| all.iter().filter(is_counted).map(|column| column.id).collect());
        ids.into_iter().for_each(|id| act.run((id, Act::Filter(RowState::Stale.word().to_owned()))));
    });
    let printed = page_events::listen(&store);
    let refresh = RwSignal::new(Refresh::None);
    let refreshing = Signal::derive(move || refresh.with(|refresh| *refresh == Refresh::Asked));
    let on_read = Callback::new(move |()| {
        refresh.set(Refresh::None);
        // Not lost with the button that was pressed, and not at the one that refreshes: another Space would do so again.
        shortcuts::focus("connections");
    });
    let on_retry = Callback::new(move |()| kept_link.retry_now());
    let on_resume = Callback::new(move |()| {
        on_pause.run(());
        // The banner goes with its button.
        shortcuts::focus("connections");
    });
    let dialog = NodeRef::<html::Dialog>::new();
    let on_help = Callback::new(move |()| help::open(dialog));
    let on_explain = Callback::new(move |state| {
        help::open(dialog);
        shortcuts::focus(help::sign_id(state));
    });
    let typed_number = StoredValue::new(shortcuts::TypedNumber::default());
    let on_shortcut = Callback::new(move |shortcut| {
        let at = shortcuts::column_at_focus().or_else(|| columns.with_untracked(|all| all.first().map(|c| c.id)));
        match (shortcut, at) {
            (Shortcut::Pause, _) => on_pause.run(()),
            (Shortcut::Help, _) => on_help.run(()),
            (Shortcut::Digit(digit), _) => {
                let exists = |id| columns.with_untracked(|all| all.iter().any(|column| column.id == id));
                let mut typed = typed_number.get_value();
                if let Some(id) = typed.take(digit, local_now().0, exists) {
                    shortcuts::focus(&format!("column-{id}"));
                }
                typed_number.set_value(typed);
            }
            (Shortcut::Find, _) => shortcuts::focus(FIELD),
            (Shortcut::Filter, Some(id)) => {
                shortcuts::unfold_and_focus(&format!("fold-data-{id}"), format!("filter-{id}"));
            }
            (Shortcut::Tape, Some(id)) => {
                let column = columns.with_untracked(|all| all.iter().find(|column| column.id == id).cloned());
                let shown = column.map(|column| column.arrangement.with_untracked(|arrangement| arrangement.view));
                let other = if shown == Some(DataView::Tape) { DataView::Table } else { DataView::Tape };
                act.run((id, Act::View(other)));
            }
            (Shortcut::Filter | Shortcut::Tape, None) => {}
        }
    });
    let keys_on = shortcuts::listen(on_shortcut);
    let on_keys = Callback::new(move |on| {
        keys_on.set(on);
        shortcuts::keep(on);
    });
    let is_enabled = |column: &Column| column.live.with(|live| live.state != ConnectionState::Disabled);
    let running = Memo::new({
        let columns = signals.columns.clone();
        move |_| columns.with(|all| all.iter().filter(|c| is_enabled(c)).map(|c| u64::from(c.id)).collect::<Vec<_>>())
    });
    let disabled = Memo::new({
        let columns = signals.columns.clone();
        move |_| columns.with(|all| all.iter().filter(|c| !is_enabled(c)).map(|c| u64::from(c.id)).collect::<Vec<_>>())
    });
    let show_column = move |key| {
        let column = columns.with_untracked(|all| all.iter().find(|column| u64::from(column.id) == key).cloned())?;
        let id = column.id;
        let on_act = Callback::new(move |done: Act| act.run((id, done)));
        Some(
            view! { <ConnectionColumn column bus_lost_at=bus_lost_at.into() common=common.into() reliability on_act on_explain/> },
        )
    };
    view! {
        <div class="monitor" class:is-wall=is_wall class:is-stale=move || link.get().is_stale() class:is-paused=move || paused.get()>
            <a class="skip-link" href="#connections">"Skip to the connections"</a>
            <TopBar view=signals email=first.email search refreshing on_pause on_refresh=refresh_with(refresh) on_help/>
            <p class="print-head">{move || printed.get()}</p>
            <main id="connections" class="page" tabindex="-1">
                <StillPage at=rendered_at/>
                <OpenAlertLines alerts clock/>
                <div class="page-top">
                    <Banners head link now clock altered opened_paused=paused_by_link on_retry on_resume/>
                    <Warnings texts=first.warnings/>
                    <SummaryStrip head totals=totals.into() open_gaps down=down.into() clock on_stale/>
                </div>
                <RefreshPanel refresh=refresh.into() on_close=on_read/>
                <Overview columns=columns.into() common=common.into() reliability/>
                <div class="columns" data-columns=move || running.with(Vec::len).to_string()>
                    <Each keys=move || running.get() view=show_column/>
                </div>
                // A line each.
                <div class="columns-disabled" hidden=move || disabled.with(Vec::is_empty)>
                    <Each keys=move || disabled.get() view=show_column/>
                </div>
            </main>
            <p class="visually-hidden" role="status" aria-live="polite" data-testid="announcer">{move || announcement.get()}</p>
            <PanelPlace/>
            <Help dialog keys_on=keys_on.into() on_keys/>
        </div>
    }
    .into_any()
}

/// A connection that needs somebody: its number and what it is. On its way back it is not yet well.
pub(super) fn trouble_of(live: &ConnectionLive) -> Option<(ConnectionId, &'static str)> {
    use ConnectionState as S;
    let is_lost = !live.state.is_up() && live.state != S::Disabled && live.reconnect.attempt > 0;
    let is_trouble = is_lost || matches!(live.state, S::Failed | S::Reconnecting | S::Mute | S::Degraded);
    is_trouble.then(|| (live.id, live.state.label()))
}

/// What the browser's tab says: a connection that is down, mute or degraded is seen there too.
fn title(head: &StatusHead, totals: Totals, link: LinkState) -> String {
    let down = head.summary.enabled.saturating_sub(head.summary.connected);
    let troubles: Vec<_> = [(down, " down"), (totals.mute, " mute"), (totals.degraded, " degraded")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| count.to_string() + what)
        .collect();
    if link.is_stale() {
        [link.label(), " · Connections"].concat()
    } else if !head.bus.connected {
        "✕ no ticks · Connections".to_owned()
    } else if troubles.is_empty() {
        "Connections".to_owned()
    } else {
        let sign = if down + totals.mute > 0 { "✕ " } else { "▲ " };
        [sign, &troubles.join(", "), " · Connections"].concat()
    }
}

/// Asks the server to read its configuration again and keeps the answer in `refresh`.
fn refresh_with(refresh: RwSignal<Refresh>) -> Callback<()> {
    Callback::new(move |()| {
        refresh.set(Refresh::Asked);
        #[cfg(feature = "hydrate")]
        leptos::task::spawn_local(async move {
            let answer = crate::store::refresh::ask().await;
            // The page may have gone meanwhile.
            let _ = refresh.try_set(answer);
        });
    })
}

/// This machine's clock. The server's side is never asked: nobody clicks there.
fn local_now() -> UnixMillis {
    #[cfg(feature = "hydrate")]
    return UnixMillis(js_sys::Date::now() as i64);
    #[cfg(not(feature = "hydrate"))]
    UnixMillis::default()
}

/// Why there is no dashboard.
#[cfg(feature = "ssr")]
#[component]
fn Unavailable(
    /// What the server function said.
    error: ApiError,
) -> impl IntoView {
    let (text, there, name) = match error {
        ApiError::NotAllowed => ("Only administrators see this page.", LOGIN, "Sign in"),
        ApiError::Unavailable | ApiError::Refused(_) | ApiError::NotNow(_) | ApiError::Transport(_) => {
            ("The monitor is not responding. Try again in a moment.", DASHBOARD, "Try again")
        }
    };
    // Not for who is not allowed: the guard answers them. Where the dashboard is switched off this page is what "not found"
    // looks like, and keeps that status.
    if let (false, Some(response)) =
        (matches!(error, ApiError::NotAllowed), use_context::<leptos_axum::ResponseOptions>())
    {
        response.set_status(leptos::server_fn::axum_export::http::StatusCode::SERVICE_UNAVAILABLE);
    }
    keep_tab_title(|| "Not available".to_owned());
    view! {
        <main class="notice">
            <h1>"Dashboard unavailable"</h1>
            <p role="alert">{text}</p>
            <p><a class="button button-primary" href=there>{name}</a></p>
        </main>
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests;
