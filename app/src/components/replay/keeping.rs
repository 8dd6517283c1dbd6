//! The menus of the bar: how then differs from now, keep, export, the keys.

use super::player::{Ask, Player, stretch};
use crate::{
    address::Query,
    components::shortcuts,
    model::{
        past::{KEEP_NOTE_LENGTH_MAX, Kept, ReplayView},
        time::UnixMillis,
    },
};
use leptos::{ev, html, prelude::*};

const KEEP: &str = "/api/admin/recording/keep";
const KEPT: &str = "/api/admin/recording/kept/";
const TICKS: &str = "/api/admin/recording/ticks";

/// The keys and what they do.
const KEYS: [(&str, &str); 11] = [
    ("Space", "Play or pause"),
    ("← →", "1 second"),
    ("Shift ← →", "10 seconds"),
    (", .", "One frame"),
    ("[ ]", "Previous or next event"),
    ("G", "Next gap"),
    ("Home End", "Begin or end of the recording"),
    ("L", "Back to live"),
    ("↑ ↓", "In a table: move between rows"),
    ("Page ↑ ↓", "In a table: move a page"),
    ("Tab", "Go to the next control"),
];

/// A summary that opens a panel, of which one is open at a time. Escape closes it.
#[component]
fn Menu(
    /// What it is called.
    name: &'static str,
    /// For tests.
    test_id: &'static str,
    /// What the panel has.
    children: Children,
) -> impl IntoView {
    let details = NodeRef::<html::Details>::new();
    let on_key = move |event: ev::KeyboardEvent| {
        if let Some(details) = details.get_untracked().filter(|_| event.key() == "Escape") {
            details.set_open(false);
            shortcuts::focus(test_id);
        }
    };
    view! {
        <details class="popover past-menu" name="past-menu" node_ref=details on:keydown=on_key>
            <summary class="button button-small" id=test_id data-testid=test_id>{name}</summary>
            <div class="popover-panel">{children()}</div>
        </details>
    }
}

/// What of the bar's stretch is recorded; all of it where that cannot be said.
fn shown(view: &ReplayView) -> (UnixMillis, UnixMillis) {
    let (from, to) = (view.bar.from, view.bar.to);
    match view.recorded.bounds() {
        Some((first, last)) if from.max(first) < to.min(last) => (from.max(first), to.min(last)),
        _ => (from, to),
    }
}

/// Puts what the bar shows into a file of its own, which the ring does not take away; and what is kept so far.
#[component]
pub fn Keeping(
    /// What there is.
    view: Signal<ReplayView>,
    /// May the reader keep something?
    may_act: bool,
    /// What the reader asks for.
    on_ask: Callback<Ask>,
    /// Something is kept now, or no more.
    on_kept: Callback<()>,
) -> impl IntoView {
    let note = RwSignal::new(String::new());
    let answer = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let told = move |refusal: Option<String>, done: &'static str| {
        busy.set(false);
        if refusal.is_none() {
            note.set(String::new());
            on_kept.run(());
        }
        answer.set(refusal.unwrap_or_else(|| done.to_owned()));
    };
    let keep = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let (from, to) = view.with_untracked(shown);
        busy.set(true);
        ask(Request::Keep(from, to, note.get_untracked()), move |refusal| told(refusal, "Kept."));
    };
    let drop_it = move |id: String| {
        ask(Request::Delete(id), move |refusal| {
            // The button is gone with what it stood beside.
            shortcuts::focus("keep");
            told(refusal, "Deleted.");
        });
    };
    let kept = Memo::new(move |_| view.with(|view| view.recorded.kept.clone()));
    let entry = move |kept: Kept| {
        let (id, from) = (kept.id, kept.from);
        let day = from.to_string().get(..10).unwrap_or_default().to_owned();
        // There is no way back, so the first press only asks.
        let is_sure = RwSignal::new(false);
        let words = move || if is_sure.get() { "Delete for good?" } else { "Delete" };
        let note = kept.note.clone();
        let name = move || [words(), " ", &note].concat();
        view! {
            <li data-testid="kept">
                <button type="button" class="text-button number" title="Go there" on:click=move |_| on_ask.run(Ask::Seek(from))>{day} " " {stretch((from, kept.to))}</button>
                <span>{kept.note} " " <span class="unit">{kept.by}</span></span>
                {may_act.then(|| {
                    let on_click = move |_| if is_sure.get_untracked() { drop_it(id.clone()) } else { is_sure.set(true) };
                    view! { <button type="button" class="button button-small" data-testid="drop" aria-label=name on:click=on_click on:blur=move |_| is_sure.set(false)>{words}</button> }
                })}
            </li>
        }
    };
    view! {
        <Menu name="Keep" test_id="keep">
            {may_act.then(|| view! {
                <form class="past-keep" on:submit=keep>
                    <p class="number">"Keeps " {move || stretch(view.with(shown))} " beyond the recording's limits."</p>
                    <input
                        type="text"
                        required
                        maxlength=KEEP_NOTE_LENGTH_MAX.to_string()
                        placeholder="Why, such as the incident's name"
                        aria-label="Note on what is kept"
                        data-testid="keep-note"
                        prop:value=move || note.get()
                        on:input=move |event| note.set(event_target_value(&event))
                    />
                    <button type="submit" class="button button-small" data-testid="keep-now" aria-disabled=move || busy.get().then_some("true")>"Keep"</button>
                </form>
            })}
            <p role="status" data-testid="keep-answer">{move || answer.get()}</p>
            <ul class="past-kept">{move || kept.get().into_iter().map(entry).collect_view()}</ul>
            <p class="unit" hidden=move || kept.with(|kept| !kept.is_empty())>"Nothing is kept so far."</p>
        </Menu>
    }
}

/// What is asked of the server, by the browser alone.
#[cfg_attr(not(feature = "hydrate"), expect(dead_code))]
enum Request {
    /// Keep this stretch, with a note.
    Keep(UnixMillis, UnixMillis, String),
    /// Keep this one no more.
    Delete(String),
}

/// Asks the server, and tells why it did not do it.
fn ask(request: Request, told: impl Fn(Option<String>) + 'static) {
    #[cfg(feature = "hydrate")]
    leptos::task::spawn_local(async move {
        use crate::store::refresh::refusal;
        use gloo_net::http::Request as Http;

        let answer = async {
            let response = match request {
                Request::Keep(from, to, note) => {
                    let note = js_sys::JSON::stringify(&note.into()).map(String::from).unwrap_or_default();
                    let body =
                        [r#"{"from":""#, &from.to_string(), r#"","to":""#, &to.to_string(), r#"","note":"#, &note, "}"];
                    Http::post(KEEP).header("content-type", "application/json").body(body.concat())?.send().await?
                }
                Request::Delete(id) => Http::delete(&[KEPT, &id].concat()).send().await?,
            };
            let (done, status) = (response.ok(), response.status());
            let body = response.binary().await.unwrap_or_default();
            Ok::<_, gloo_net::Error>((!done).then(|| refusal(status, &body)))
        };
        told(answer.await.unwrap_or_else(|_| Some("The monitor is not responding.".to_owned())));
    });
    #[cfg(not(feature = "hydrate"))]
    {
        let _ = (request, told, KEEP, KEPT);
    }
}

/// The ticks of what the bar shows, as files.
#[component]
pub fn Export(
    /// What there is.
    view: Signal<ReplayView>,
    /// Which connections are shown.
    player: Player,
) -> impl IntoView {
    let address = move |format: &'static str| {
        let (from, to) = view.with(shown);
        let mut query = Query::default();
        query.push("from".to_owned(), from.to_string());
        query.push("to".to_owned(), to.to_string());
        let connections = player.connections.get();
        if !connections.is_empty() {
            query.push("connection".to_owned(), connections.to_list());
        }
        query.push("format".to_owned(), format.to_owned());
        TICKS.to_owned() + &query.write()
    };
    let link = move |format: &'static str, name: &'static str| {
        view! {
            <a href=move || address(format) rel="external" download=["ticks.", format].concat() data-testid=["export-", format].concat()>{name}</a>
        }
    };
    view! {
        <Menu name="Export" test_id="export">
            <p class="number">"Every tick from " {move || stretch(view.with(shown))} "."</p>
            <p class="past-links">{link("csv", "CSV")} {link("jsonl", "JSON lines")} {link("parquet", "Parquet")}</p>
            <p class="unit">"Every export is recorded in the audit log."</p>
        </Menu>
    }
}

/// What the keys do, and whether those of one character do it.
#[component]
pub fn Keys(
    /// Do they?
    keys_on: RwSignal<bool>,
) -> impl IntoView {
    let on_change = move |event| {
        let on = event_target_checked(&event);
        keys_on.set(on);
        shortcuts::keep(on);
    };
    view! {
        <Menu name="Keys" test_id="keys">
            <dl class="past-keys">
                {KEYS.map(|(key, does)| view! { <div><dt><kbd>{key}</kbd></dt><dd>{does}</dd></div> })}
            </dl>
            <label class="check">
                <input type="checkbox" data-testid="keys-on" prop:checked=move || keys_on.get() on:change=on_change/>
                <span>"Single-key shortcuts"</span>
            </label>
        </Menu>
    }
}

/// How the moment differs from the present.
#[component]
pub fn Differences(
    /// Where the replay stands.
    player: Player,
) -> impl IntoView {
    // What was found, and of which moment.
    let found = RwSignal::new(None::<(UnixMillis, Result<Vec<String>, String>)>);
    let compare = move |_| {
        #[cfg(feature = "hydrate")]
        leptos::task::spawn_local(async move {
            let at = player.at.get_untracked();
            let answer = crate::api::replay::load_differences(at.0).await.map_err(|error| error.to_string());
            let _ = found.try_set(Some((at, answer)));
        });
        #[cfg(not(feature = "hydrate"))]
        let _ = player;
    };
    let list = move || {
        found.get().map(|(at, answer)| match answer {
            Err(why) => view! { <p>{why}</p> }.into_any(),
            Ok(all) if all.is_empty() => {
                view! { <p>"Nothing differs from " {at.clock()} " UTC: the same states, the same configuration, and no symbol has stopped."</p> }.into_any()
            }
            Ok(all) => view! {
                <p>"Since " {at.clock()} " UTC:"</p>
                <ul class="past-differences">{all.into_iter().map(|text| view! { <li>{text}</li> }).collect_view()}</ul>
            }
            .into_any(),
        })
    };
    view! {
        <Menu name="Compare" test_id="compare">
            <button type="button" class="button button-small" data-testid="compare-now" on:click=compare>"Compare with now"</button>
            <div role="status" data-testid="differences">{list}</div>
        </Menu>
    }
}
