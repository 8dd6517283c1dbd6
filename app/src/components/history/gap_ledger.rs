//! Every outage of the range: what was missed, why, and who has seen it. A card each, as beside the charts and on a phone
//! there is no room for a table.

use super::{context::ChartContext, scale};
use crate::{
    address::alert_at,
    api::{IsRecording, MayAct, history::AcknowledgeGap},
    components::format::{self, identity},
    model::{
        connection::ConnectionId,
        history::{
            gap::{Acknowledgement, Gap, NOTE_LENGTH_MAX},
            view::HistoryView,
        },
        time::{UnixMillis, format_seconds},
    },
    store::moment::around,
};
use leptos::{form::ActionForm, prelude::*};

/// The ledger.
#[component]
pub fn GapLedger(
    /// What the charts share.
    context: ChartContext,
    /// Acknowledges a gap.
    acknowledge: ServerAction<AcknowledgeGap>,
) -> impl IntoView {
    let view = context.view;
    let total = move || view.with(|view| view.gaps_total);
    let gaps = Memo::new(move |_| view.with(|view| view.gaps.clone()));
    let left_out = move || newest_of(gaps.with(Vec::len), total());
    let refused = move || acknowledge.value().get().and_then(Result::err).map(|error| error.to_string());
    view! {
        <section class="ledger" aria-labelledby="ledger-title" data-testid="gaps">
            <h2 id="ledger-title">"Gaps " <span class="unit number">{move || format::count(total())}</span></h2>
            <p class="ledger-refused" role="alert">{refused}</p>
            <Show
                when=move || total() != 0
                fallback=move || view! {
                    <p class="table-empty">
                        {move || if view.with(HistoryView::emptiness).is_some() { "Unknown." } else { "No gaps in this range." }}
                    </p>
                }
            >
                <ol class="gaps">
                    <For each=move || gaps.get() key=key children=move |gap| view! { <Card first=gap gaps context acknowledge/> }/>
                </ol>
                <p class="unit number">{left_out}</p>
            </Show>
        </section>
    }
}

/// That not all of a list is shown; nothing where all is.
#[must_use]
pub fn newest_of(listed: usize, total: u64) -> Option<String> {
    (total > listed as u64).then(|| {
        [
            "The newest ",
            &format::count(listed as u64),
            " of ",
            &format::count(total),
            " are listed; the export has all of them.",
        ]
        .concat()
    })
}

/// What a card is of: the gap itself, whatever becomes of it. A card that were made anew with every attempt would take along
/// the note that somebody is writing in it.
fn key(gap: &Gap) -> (ConnectionId, u32) {
    (gap.connection_id, gap.number)
}

/// A gap. What is known of it changes while it lasts; its symbols and the note being written stay as they are.
#[component]
fn Card(
    first: Gap,
    gaps: Memo<Vec<Gap>>,
    context: ChartContext,
    acknowledge: ServerAction<AcknowledgeGap>,
) -> impl IntoView {
    let (key_of_first, id, name) = (key(&first), first.id, first.name());
    let card_id = first.anchor();
    let test_id = ["gap-", name.trim_start_matches('#')].concat();
    let whose = first.connection().map(identity);
    let gap = Memo::new(move |before: Option<&Gap>| {
        let newest = gaps.with(|gaps| gaps.iter().find(|gap| key(gap) == key_of_first).cloned());
        newest.or_else(|| before.cloned()).unwrap_or_else(|| first.clone())
    });
    let symbols = Memo::new(move |_| gap.with(|gap| (gap.symbols_count, gap.symbols.clone())));
    let said =
        Memo::new(move |_| gap.with(|gap| gap.acknowledged.iter().chain(&gap.notes).cloned().collect::<Vec<_>>()));
    // Not with the notes: one that somebody else adds must not take along the one that is being written here.
    let is_seen = Memo::new(move |_| gap.with(|gap| gap.acknowledged.is_some()));
    let written = keep_focus(card_id.clone(), id, said, acknowledge);
    let notes = move || said.get().into_iter().map(note_view).collect_view();
    let first_name = StoredValue::new(name);
    let may_act = MayAct::here();
    let form = move || match is_seen.get() {
        _ if !may_act => ().into_any(),
        false => view! { <Acknowledge id name=first_name.get_value() further=false action=acknowledge/> }.into_any(),
        true => {
            // Empty again, and folded, once it is written.
            written.track();
            view! {
                <details class="gap-further">
                    <summary>"Add a note"</summary>
                    <Acknowledge id name=first_name.get_value() further=true action=acknowledge/>
                </details>
            }
            .into_any()
        }
    };
    view! {
        // Takes the focus when the form that had it goes.
        <li class="gap" id=card_id tabindex="-1" data-identity=whose data-testid=test_id>
            {move || facts(gap.get(), context)}
            {move || symbols.with(|(count, named)| symbol_list(*count, named))}
            <div class="gap-seen">{notes}{form}</div>
        </li>
    }
}

/// Who said what of a gap, and when.
fn note_view(said: Acknowledgement) -> impl IntoView {
    view! {
        <p>{said.by} " " <span class="unit number">{scale::moment(said.at)}</span> " " <span class="gap-note">{said.note}</span></p>
    }
}

/// Once a gap is acknowledged from its own card, or a note added there, the focus stays at that card: the form that had it is
/// gone. The signal is written to then.
fn keep_focus(
    card_id: String,
    id: i64,
    said: Memo<Vec<Acknowledgement>>,
    acknowledge: ServerAction<AcknowledgeGap>,
) -> RwSignal<u32> {
    let written = RwSignal::new(0);
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;

        let asked = StoredValue::new(false);
        Effect::new(move |_| {
            if acknowledge.input().with(|asked| asked.as_ref().is_some_and(|asked| asked.id == id)) {
                asked.set_value(true);
            }
        });
        Effect::new(move |_| {
            if said.with(Vec::is_empty) || !asked.get_value() {
                return;
            }
            asked.set_value(false);
            written.update(|times| *times += 1);
            let card =
                document().get_element_by_id(&card_id).and_then(|card| card.dyn_into::<web_sys::HtmlElement>().ok());
            // Somebody who has gone on elsewhere stays there.
            let is_lost = document().active_element().is_none_or(|at| at.tag_name().eq_ignore_ascii_case("body"));
            if let Some(card) = card.filter(|card| is_lost || card.contains(document().active_element().as_deref())) {
                let _ = card.focus();
            }
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (card_id, id, said, acknowledge);
    written
}

/// How many symbols, and behind that their names. Nothing of a gap that concerns none in particular.
fn symbol_list(count: u32, named: &[String]) -> impl IntoView + use<> {
    let more = (count as usize).saturating_sub(named.len());
    let names =
        named.join(" ") + &if more > 0 { [" and ", &more.to_string(), " more"].concat() } else { String::new() };
    (count > 0).then(|| view! {
        <details class="gap-symbols"><summary class="number">{count} " symbols"</summary><span>{names}</span></details>
    })
}

/// What may change while a gap lasts.
fn facts(gap: Gap, context: ChartContext) -> impl IntoView {
    let started_at = gap.started_at;
    let id = gap.id;
    let alerts = Memo::new(move |_| {
        let told = context.view.with(|view| view.gap_alerts.clone());
        told.into_iter().filter(|told| told.gap == id).collect::<Vec<_>>()
    });
    // A gap that has ended needs no clock.
    let (lasting, ended) = (gap.clone(), gap.ended_at.is_some());
    let at = move || if ended { UnixMillis(0) } else { context.view.with(|view| view.at) };
    let basis = match gap.unpublished_ticks {
        Some(_) => "not published, counted exactly".to_owned(),
        None => basis_text(&gap),
    };
    let missed = {
        let gap = lasting.clone();
        move || {
            gap.unpublished_ticks
                .or_else(|| gap.missed_ticks(at()))
                .map_or_else(|| format::NOTHING.to_owned(), format::count)
        }
    };
    let before = causes_text(&gap);
    let duration = move || duration_text(lasting.duration_ms(at()));
    let code = gap.close_code.map(|code| [" (code ", &code.to_string(), ")"].concat());
    let attempts = match gap.attempts {
        0 => None,
        1 => Some("1 attempt to connect".to_owned()),
        many => Some([&format::count(many.into()), " attempts to connect"].concat()),
    };
    view! {
        <h3 class="gap-head">
            <span class="legend-mark" aria-hidden="true"></span>
            <span class="number">{gap.name()}</span> " "
            <b>{gap.cause.label()} {code}</b>
            <span class="gap-length number">{duration}</span>
        </h3>
        <p class="gap-when number">
            <button type="button" class="event-at number" title="Show in the charts" on:click=move |_| context.show(started_at)>{scale::moment(started_at)}</button>
            " – " <span data-testid="gap-end">{gap.ended_at.map_or_else(|| "ongoing".to_owned(), scale::moment)}</span> <span class="unit">" UTC"</span>
            {move || alerts.get().iter().map(|told| alert_link(&told.alert, &told.title)).collect_view()}
            {replay_link(started_at, gap.connection())}
        </p>
        <p class="gap-words">{gap.words} {before}</p>
        <p class="number"><b data-testid="gap-missed">{missed}</b> " ticks missed " <span class="unit">{basis}</span></p>
        {attempts.map(|text| view! { <p class="unit number">{text}</p> })}
    }
}

/// The way to an alert, for what it told of.
pub(super) fn alert_link(id: &str, what: &str) -> impl IntoView + use<> {
    let name = ["Alert: ", what].concat();
    view! { <a class="replay-link" href=alert_at(id) rel="external" aria-label=name data-testid="alert">"Alert"</a> }
}

/// The way to what it looked like, where that is recorded: the 60 seconds around a moment, at a connection's column.
pub(super) fn replay_link(at: UnixMillis, id: Option<ConnectionId>) -> impl IntoView + use<> {
    IsRecording::here().then(|| {
        let column = id.map(|id| ["#column-", &id.to_string()].concat()).unwrap_or_default();
        let name = ["Replay the 60 seconds around ", &scale::moment(at)].concat();
        view! { <a class="replay-link" href=around(at) + &column rel="external" aria-label=name data-testid="replay">"Replay"</a> }
    })
}

/// The rate behind the estimate and what it was taken from.
fn basis_text(gap: &Gap) -> String {
    let rate = gap.ticks_per_second_before.map(|rate| format::fixed(rate, 1) + " ticks/s, ").unwrap_or_default();
    gap.basis().map_or_else(|| "too little data before the gap".to_owned(), |basis| rate + &basis)
}

/// The causes behind the gravest one, which is told beside them.
fn causes_text(gap: &Gap) -> Option<String> {
    let others: Vec<_> = gap.causes.iter().skip(1).map(|step| step.cause.label()).collect();
    (!others.is_empty()).then(|| [" Also: ", &others.join(", "), "."].concat())
}

/// Tenths of a second below a minute: short gaps differ there.
fn duration_text(ms: u64) -> String {
    if ms < 60_000 { format::fixed(ms as f64 / 1000.0, 1) + " s" } else { format_seconds(ms / 1000) }
}

/// A note, and who writes it has seen the gap; or a further one. Works as a plain form too.
#[component]
fn Acknowledge(id: i64, name: String, further: bool, action: ServerAction<AcknowledgeGap>) -> impl IntoView {
    view! {
        <ActionForm action attr:class="acknowledge">
            <input type="hidden" name="id" value=id.to_string()/>
            <input type="hidden" name="further" value=further.to_string()/>
            <input type="text" name="note" required maxlength=NOTE_LENGTH_MAX.to_string() placeholder="What was done about it" aria-label=["Note on gap ", &name].concat()/>
            <button type="submit" class="button">{if further { "Add" } else { "Acknowledge" }}</button>
        </ActionForm>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::history::gap::GapCause;

    #[test]
    fn a_card_stays_the_same_while_its_gap_changes() {
        let gap = Gap::blank(2, 3, UnixMillis(0));
        let (ended_at, cause) = (Some(UnixMillis(9)), GapCause::KeyRefused);
        let later = Gap { id: 7, attempts: 4, cause, ended_at, symbols_count: 9, ..gap.clone() };
        assert_eq!(key(&gap), key(&later), "a note being written would be lost");
        assert_ne!(key(&gap), key(&Gap { number: 4, ..gap.clone() }));
    }

    #[test]
    fn a_list_that_is_not_whole_says_of_how_many() {
        assert_eq!(newest_of(200, 200), None);
        let text = "The newest 200 of 1,273 are listed; the export has all of them.";
        assert_eq!(newest_of(200, 1_273).as_deref(), Some(text));
    }
}
