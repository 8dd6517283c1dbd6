//! Every outage of the range: what was missed, why, and who has seen it.

use crate::{
    api::history::AcknowledgeGap,
    components::{column::identity, format, history::scale},
    model::{
        connection::ConnectionId,
        history::{
            gap::{Acknowledgement, Gap, NOTE_LENGTH_MAX},
            view::HistoryView,
        },
        time::{UnixMillis, format_seconds},
    },
};
use leptos::{form::ActionForm, prelude::*};

/// The ledger.
#[component]
pub fn GapLedger(
    /// What is shown.
    view: Signal<HistoryView>,
    /// Acknowledges a gap.
    acknowledge: ServerAction<AcknowledgeGap>,
) -> impl IntoView {
    let total = move || view.with(|view| view.gaps_total);
    let gaps = Memo::new(move |_| view.with(|view| view.gaps.clone()));
    let more = move || total() > gaps.with(|gaps| gaps.len() as u64);
    let refused = move || acknowledge.value().get().and_then(Result::err).map(|error| error.to_string());
    view! {
        <section class="ledger" aria-labelledby="ledger-title" data-testid="gaps">
            <h2 id="ledger-title">"Gaps " <span class="unit number">{move || format::count(total())}</span></h2>
            <p class="ledger-refused" role="alert">{refused}</p>
            <Show
                when=move || total() != 0
                fallback=|| view! { <p class="table-empty">"No gaps in this range."</p> }
            >
                <div class="table-scroll" tabindex="0" role="group" aria-label="Gaps, newest first">
                    <table class="values gaps">
                        <thead><tr>
                            <th scope="col">"Gap"</th><th scope="col">"From (UTC)"</th><th scope="col">"To"</th><th scope="col">"Duration"</th>
                            <th scope="col">"Cause"</th><th scope="col">"Missed ticks"</th><th scope="col">"Attempts"</th><th scope="col">"Symbols"</th>
                            <th scope="col">"Acknowledged by"</th>
                        </tr></thead>
                        <tbody>
                            <For each=move || gaps.get() key=row_key children=move |gap| view! { <Row first=gap gaps view acknowledge/> }/>
                        </tbody>
                    </table>
                </div>
                <Show when=more>
                    <p class="unit">"Only the newest are listed here; the export has all of them."</p>
                </Show>
            </Show>
        </section>
    }
}

/// What a row is of: the gap itself, whatever becomes of it. A row that were made anew with every attempt would take along
/// the note that somebody is writing in it.
fn row_key(gap: &Gap) -> (ConnectionId, u32) {
    (gap.connection_id, gap.number)
}

/// A gap. What is known of it changes while it lasts; its symbols and the note being written stay as they are.
#[component]
fn Row(
    first: Gap,
    gaps: Memo<Vec<Gap>>,
    view: Signal<HistoryView>,
    acknowledge: ServerAction<AcknowledgeGap>,
) -> impl IntoView {
    let (key, id, name) = (row_key(&first), first.id, first.name());
    let row_id = ["gap-", &id.to_string()].concat();
    let test_id = ["gap-", name.trim_start_matches('#')].concat();
    let whose = first.connection().map(identity);
    let gap = Memo::new(move |before: Option<&Gap>| {
        let newest = gaps.with(|gaps| gaps.iter().find(|gap| row_key(gap) == key).cloned());
        newest.or_else(|| before.cloned()).unwrap_or_else(|| first.clone())
    });
    let symbols = Memo::new(move |_| gap.with(|gap| (gap.symbols_count, gap.symbols.clone())));
    let said =
        Memo::new(move |_| gap.with(|gap| gap.acknowledged.iter().chain(&gap.notes).cloned().collect::<Vec<_>>()));
    // Not with the notes: one that somebody else adds must not take along the one that is being written here.
    let is_seen = Memo::new(move |_| gap.with(|gap| gap.acknowledged.is_some()));
    let written = keep_focus(row_id.clone(), id, said, acknowledge);
    let notes = move || said.get().into_iter().map(note_view).collect_view();
    let first_name = StoredValue::new(name.clone());
    let form = move || match is_seen.get() {
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
        <tr id=row_id tabindex="-1" data-identity=whose data-testid=test_id>
            {move || cells(gap.get(), view)}
            <td>{move || symbols.with(|(count, named)| symbol_list(*count, named))}</td>
            <td class="gap-seen">{notes}{form}</td>
        </tr>
    }
}

/// Who said what of a gap, and when.
fn note_view(said: Acknowledgement) -> impl IntoView {
    view! {
        <p>{said.by} " " <span class="unit number">{scale::moment(said.at)}</span> " " <span class="gap-note">{said.note}</span></p>
    }
}

/// Once a gap is acknowledged from its own row, or a note added there, the focus stays at that row: the form that had it is
/// gone. The signal is written to then.
fn keep_focus(
    row_id: String,
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
            let row = document().get_element_by_id(&row_id).and_then(|row| row.dyn_into::<web_sys::HtmlElement>().ok());
            // Somebody who has gone on elsewhere stays there.
            let is_lost = document().active_element().is_none_or(|at| at.tag_name().eq_ignore_ascii_case("body"));
            if let Some(row) = row.filter(|row| is_lost || row.contains(document().active_element().as_deref())) {
                let _ = row.focus();
            }
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (row_id, id, said, acknowledge);
    written
}

/// How many symbols, and behind that their names.
fn symbol_list(count: u32, named: &[String]) -> impl IntoView + use<> {
    let more = (count as usize).saturating_sub(named.len());
    let names =
        named.join(" ") + &if more > 0 { [" and ", &more.to_string(), " more"].concat() } else { String::new() };
    view! { <details><summary class="number">{count}</summary><span class="gap-symbols">{names}</span></details> }
}

/// What may change while a gap lasts.
fn cells(gap: Gap, view: Signal<HistoryView>) -> impl IntoView {
    let now = move || view.with(|view| view.at);
    // A gap that has ended needs no clock.
    let (lasting, ended) = (gap.clone(), gap.ended_at.is_some());
    let at = move || if ended { UnixMillis(0) } else { now() };
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
    view! {
        <th scope="row" class="number"><span class="legend-mark" aria-hidden="true"></span>{gap.name()}</th>
        <td class="number">{scale::moment(gap.started_at)}</td>
        <td class="number">{gap.ended_at.map_or_else(|| "ongoing".to_owned(), scale::moment)}</td>
        <td class="number">{duration}</td>
        <td class="gap-cause"><b>{gap.cause.label()} {code}</b> " " <span class="gap-words">{gap.words} {before}</span></td>
        <td class="number">{missed} <span class="unit gap-basis">{basis}</span></td>
        <td class="number">{gap.attempts}</td>
    }
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
    fn a_row_stays_the_same_while_its_gap_changes() {
        let gap = Gap::blank(2, 3, UnixMillis(0));
        let (ended_at, cause) = (Some(UnixMillis(9)), GapCause::KeyRefused);
        let later = Gap { id: 7, attempts: 4, cause, ended_at, symbols_count: 9, ..gap.clone() };
        assert_eq!(row_key(&gap), row_key(&later), "a note being written would be lost");
        assert_ne!(row_key(&gap), row_key(&Gap { number: 4, ..gap.clone() }));
    }
}
