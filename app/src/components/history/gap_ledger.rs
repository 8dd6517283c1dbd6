//! Every outage of the range: what was missed, why, and who has seen it.

use crate::{
    api::history::AcknowledgeGap,
    components::{column::identity, format, history::scale},
    model::{
        history::{
            gap::{Gap, NOTE_LENGTH_MAX},
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
    // Rows are made anew only when a gap changed: a note that is being written would be lost.
    let gaps = Memo::new(move |_| view.with(|view| view.gaps.clone()));
    let more = move || total() > gaps.with(|gaps| gaps.len() as u64);
    let refused = move || acknowledge.value().get().and_then(Result::err).map(|error| error.to_string());
    view! {
        <section class="ledger" aria-labelledby="ledger-title" data-testid="gaps">
            <h2 id="ledger-title">"Gaps " <span class="unit number">{move || format::count(total())}</span></h2>
            <p class="ledger-refused" role="alert">{refused}</p>
            <Show
                when=move || total() != 0
                fallback=|| view! { <p class="table-empty">"No gap in this range: every connection ticked as usual, or its silence was normal."</p> }
            >
                <div class="table-scroll" tabindex="0" role="group" aria-label="Gaps, newest first">
                    <table class="values gaps">
                        <thead><tr>
                            <th scope="col">"Gap"</th><th scope="col">"From (UTC)"</th><th scope="col">"To"</th><th scope="col">"Duration"</th>
                            <th scope="col">"Cause"</th><th scope="col">"Ticks missed"</th><th scope="col">"Attempts"</th><th scope="col">"Symbols"</th>
                            <th scope="col">"Seen by"</th>
                        </tr></thead>
                        <tbody>
                            <For each=move || gaps.get() key=|gap| (gap.id, gap.ended_at, gap.attempts, gap.causes.len(), gap.unpublished_ticks, gap.acknowledged.is_some())
                                children=move |gap| view! { <Row gap view acknowledge/> }/>
                        </tbody>
                    </table>
                </div>
                <Show when=more>
                    <p class="unit">"The newest ones are listed; the export has all of them."</p>
                </Show>
            </Show>
        </section>
    }
}

#[component]
fn Row(gap: Gap, view: Signal<HistoryView>, acknowledge: ServerAction<AcknowledgeGap>) -> impl IntoView {
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
    let (before, whose) = (causes_text(&gap), gap.connection().map(identity));
    let duration = move || duration_text(lasting.duration_ms(at()));
    let code = gap.close_code.map(|code| [" (code ", &code.to_string(), ")"].concat());
    let more = (gap.symbols_count as usize).saturating_sub(gap.symbols.len());
    let names =
        gap.symbols.join(" ") + &if more > 0 { [" and ", &more.to_string(), " more"].concat() } else { String::new() };
    let (name, id) = (gap.name(), ["gap-", &gap.id.to_string()].concat());
    let test_id = ["gap-", name.trim_start_matches('#')].concat();
    let seen = match gap.acknowledged {
        Some(said) => view! {
            <span>{said.by} " " <span class="unit number">{scale::moment(said.at)}</span> <span class="gap-note">{said.note}</span></span>
        }
        .into_any(),
        None => view! { <Acknowledge id=gap.id name=name.clone() action=acknowledge/> }.into_any(),
    };
    view! {
        <tr id=id data-identity=whose data-testid=test_id>
            <th scope="row" class="number"><span class="legend-mark" aria-hidden="true"></span>{name}</th>
            <td class="number">{scale::moment(gap.started_at)}</td>
            <td class="number">{gap.ended_at.map_or_else(|| "open".to_owned(), scale::moment)}</td>
            <td class="number">{duration}</td>
            <td class="gap-cause"><b>{gap.cause.label()} {code}</b> " " <span class="gap-words">{gap.words} {before}</span></td>
            <td class="number">{missed} <span class="unit gap-basis">{basis}</span></td>
            <td class="number">{gap.attempts}</td>
            <td><details><summary class="number">{gap.symbols_count}</summary><span class="gap-symbols">{names}</span></details></td>
            <td class="gap-seen">{seen}</td>
        </tr>
    }
}

/// The rate behind the estimate and what it was taken from.
fn basis_text(gap: &Gap) -> String {
    let rate = gap.ticks_per_second_before.map(|rate| format::fixed(rate, 1) + " ticks/s, ").unwrap_or_default();
    gap.basis().map_or_else(|| "too little was seen before".to_owned(), |basis| rate + &basis)
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

/// A note, and who writes it has seen the gap. Works as a plain form too.
#[component]
fn Acknowledge(id: i64, name: String, action: ServerAction<AcknowledgeGap>) -> impl IntoView {
    view! {
        <ActionForm action attr:class="acknowledge">
            <input type="hidden" name="id" value=id.to_string()/>
            <input type="text" name="note" required maxlength=NOTE_LENGTH_MAX.to_string() placeholder="Note: what was done about it" aria-label=["Note on gap ", &name].concat()/>
            <button type="submit" class="button">"Acknowledge"</button>
        </ActionForm>
    }
}
