//! All charts under one time axis, read together at one point in time, by pointer or by keys.

use super::{
    bands::{self, Mark},
    chart::Chart,
    context::ChartContext,
    overlay::CursorLine,
    quantity::QUANTITIES,
    scale,
    state_chart::StateChart,
};
use crate::model::history::view::HistoryView;
use leptos::{ev, prelude::*};

/// The parts of the axis that may have a mark, on a narrow screen and on a wide one: wide enough for a finger. The style sheet has as
/// many columns.
const PARTS: [(usize, &str); 2] = [(12, "lane-narrow"), (24, "lane-wide")];

/// The charts. Moving the pointer over any of them, or the arrow keys on the time line, reads all of them; dragging a mouse
/// over them, or the arrow keys with Shift and then Enter, zooms in.
#[component]
pub fn Charts(
    /// What all charts share.
    context: ChartContext,
) -> impl IntoView {
    let zoom_in = zoom(context);
    let on_down = move |event: ev::PointerEvent| {
        if is_drag(&event) && read(context, &event) {
            context.marked.set(None);
            context.mark();
            hold(&event);
        }
    };
    let on_move = move |event: ev::PointerEvent| {
        if read(context, &event) && context.marked.with_untracked(Option::is_some) && is_drag(&event) {
            context.mark();
        }
    };
    let on_up = move |event: ev::PointerEvent| {
        // A click marks one bucket and means none.
        let any = context.marked.with_untracked(|marked| marked.is_some_and(|(from, to)| from != to));
        if is_drag(&event) && any {
            zoom_in.run(());
        }
        context.marked.set(None);
    };
    view! {
        <div
            class="charts"
            data-testid="charts"
            on:pointerdown=on_down
            on:pointermove=on_move
            on:pointerup=on_up
            on:pointercancel=move |_| context.marked.set(None)
            on:pointerleave=move |_| context.cursor.set(None)
        >
            <TimeLine context zoom_in/>
            <Lanes context/>
            <StateChart context/>
            {QUANTITIES.into_iter().map(|quantity| view! { <Chart quantity context/> }).collect_view()}
        </div>
    }
}

/// Goes to the stretch that is marked.
fn zoom(context: ChartContext) -> Callback<()> {
    #[cfg(feature = "hydrate")]
    {
        use leptos_router::{NavigateOptions, hooks::use_navigate};

        let navigate = use_navigate();
        Callback::new(move |()| {
            if let Some(address) = context.zoomed() {
                navigate(&address, NavigateOptions { scroll: false, ..NavigateOptions::default() });
            }
        })
    }
    #[cfg(not(feature = "hydrate"))]
    Callback::new(move |()| drop(context.zoomed()))
}

/// Does this pointer zoom? A finger only reads: dragging it also scrolls.
fn is_drag(event: &ev::PointerEvent) -> bool {
    event.pointer_type() != "touch" && event.button() <= 0
}

/// Reads the charts where the pointer is; false when it is over none.
fn read(context: ChartContext, event: &ev::PointerEvent) -> bool {
    let Some(share) = share_of(event) else { return false };
    let length = context.view.with_untracked(HistoryView::length);
    context.read_at((share * length as f64) as usize);
    true
}

/// How far to the right of a plot the pointer is, from 0 to 1; `None` when it is over none.
#[cfg(feature = "hydrate")]
fn share_of(event: &ev::PointerEvent) -> Option<f64> {
    let target = target(event)?;
    let width = f64::from(target.client_width());
    (target.class_list().contains("plot") && width > 0.0).then(|| (f64::from(event.offset_x()) / width).clamp(0.0, 1.0))
}

#[cfg(not(feature = "hydrate"))]
fn share_of(_event: &ev::PointerEvent) -> Option<f64> {
    None
}

/// Nothing inside a plot takes the pointer, so the target is the plot itself.
#[cfg(feature = "hydrate")]
fn target(event: &ev::PointerEvent) -> Option<web_sys::Element> {
    use wasm_bindgen::JsCast;

    event.target()?.dyn_into().ok()
}

/// The plot keeps the pointer, so that a drag may end outside of it.
fn hold(event: &ev::PointerEvent) {
    #[cfg(feature = "hydrate")]
    if let Some(target) = target(event) {
        let _ = target.set_pointer_capture(event.pointer_id());
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = event;
}

/// The time axis. A slider: its value is the point in time that all charts are read at.
#[component]
fn TimeLine(context: ChartContext, zoom_in: Callback<()>) -> impl IntoView {
    let view = context.view;
    let last = move || view.with(HistoryView::length) - 1;
    let on_key = move |event: ev::KeyboardEvent| {
        let (place, last) = (context.place(), last());
        let next = match event.key().as_str() {
            "ArrowLeft" | "ArrowDown" => place.saturating_sub(1),
            "ArrowRight" | "ArrowUp" => place + 1,
            "PageDown" => place.saturating_sub(last / 10 + 1),
            "PageUp" => place + last / 10 + 1,
            "Home" => 0,
            "End" => last,
            "Escape" => {
                context.marked.set(None);
                context.cursor.set(None);
                return;
            }
            "Enter" => {
                zoom_in.run(());
                context.marked.set(None);
                return;
            }
            _ => return,
        };
        event.prevent_default();
        if event.shift_key() {
            // From where it was, the newest included.
            context.read_at(place);
            context.mark();
        } else {
            context.marked.set(None);
        }
        context.read_at(next);
        if event.shift_key() {
            context.mark();
        }
    };
    let labels = Memo::new(move |_| view.with(scale::time_labels));
    let at = move || view.with(|view| scale::moment(view.bucket_at(context.place())));
    let text = move || [&at(), " UTC. ", &sentence(&context)].concat();
    view! {
        <div class="time-line">
            <p class="time-at number"><span data-testid="cursor">{move || [&at(), " UTC"].concat()}</span>
                <span class="unit time-help" id="time-help">"Drag to zoom in. With the keyboard: arrows read, with Shift they mark, Enter zooms in."</span>
            </p>
            <div
                class="time-slider"
                role="slider"
                tabindex="0"
                id="time-line"
                data-testid="time-line"
                aria-label="Point in time"
                aria-describedby="time-help"
                aria-valuemin="0"
                aria-valuemax=move || last().to_string()
                aria-valuenow=move || context.place().to_string()
                aria-valuetext=text
                on:keydown=on_key
            >
                <svg class="plot plot-axis" aria-hidden="true" focusable="false">
                    {move || labels.get().into_iter().map(|label| view! {
                        <line class="axis-tick" x1=label.x.clone() x2=label.x.clone() y1="0" y2="5"></line>
                        <text class="axis-label number" x=label.x y="17">{label.text}</text>
                    }).collect_view()}
                    <CursorLine context/>
                </svg>
            </div>
        </div>
    }
}

/// All charts at the point in time, as a screen reader says them.
fn sentence(context: &ChartContext) -> String {
    let mut text = String::new();
    for (id, name) in context.shown.get() {
        text.push_str(&name);
        match context.bucket_of(id).filter(|bucket| bucket.covered_ms > 0) {
            None => text.push_str(" no data"),
            Some(bucket) => {
                text.push(' ');
                text.push_str(&bucket.state_text().unwrap_or_default());
                for quantity in QUANTITIES {
                    let percentile = context.selection.percentile;
                    if (quantity.of)(&bucket, percentile).is_some() {
                        text.push_str(&[", ", &quantity.text(Some(&bucket), percentile), " ", quantity.unit].concat());
                    }
                }
            }
        }
        text.push_str(". ");
    }
    text
}

/// Marks on the time axis: of gaps, which lead to the ledger, and of events, which lead to the timeline. What is at the same
/// place is one mark that says how many.
#[component]
fn Lanes(context: ChartContext) -> impl IntoView {
    let view = context.view;
    let newest = move |what: &str, drawn: u64, total: u64| {
        (total > drawn).then(|| {
            ["The newest ", &drawn.to_string(), " of ", &total.to_string(), " ", what, " are drawn. "].concat()
        })
    };
    let left_out = move || {
        view.with(|view| {
            let gaps = newest("gaps", view.gap_spans().map(|gap| gap.count).sum(), view.gaps_total);
            let text = gaps.unwrap_or_default()
                + &newest("events", view.event_spans().map(|event| event.count).sum(), view.events_total)
                    .unwrap_or_default();
            (!text.is_empty()).then(|| view! { <p class="lane-note unit number" data-testid="left-out">{text}</p> })
        })
    };
    let lanes = PARTS.map(|(parts, class)| {
        view! {
            <div class=class>
                <Lane label="Gaps on the time axis" test_id="gap-mark" marks=Memo::new(move |_| view.with(|view| bands::gap_marks(view, parts)))/>
                <Lane label="Events on the time axis" test_id="mark" marks=Memo::new(move |_| view.with(|view| bands::event_marks(view, parts)))/>
            </div>
        }
    });
    view! {
        <div class="lanes">
            {lanes}
            {left_out}
        </div>
    }
}

/// A count in the few characters that a mark has room for; all of it is in the mark's title.
fn short(count: usize) -> String {
    if count < 1_000 { count.to_string() } else { [&(count / 1_000).to_string(), "k"].concat() }
}

#[component]
fn Lane(label: &'static str, test_id: &'static str, marks: Memo<Vec<Option<Mark>>>) -> impl IntoView {
    let slot = move |mark: Option<Mark>| match mark {
        None => view! { <span></span> }.into_any(),
        Some(mark) => view! {
            <a
                class="mark number"
                href=["#", &mark.anchor].concat()
                // The browser's own: the router would scroll and leave the focus behind.
                rel="external"
                title=mark.text.clone()
                aria-label=mark.text
                data-testid=test_id
            >{(mark.count > 1).then(|| short(mark.count))}</a>
        }
        .into_any(),
    };
    view! {
        <nav class="lane" aria-label=label data-kind=test_id>
            {move || marks.get().into_iter().map(slot).collect_view()}
        </nav>
    }
}
