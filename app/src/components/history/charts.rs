//! All charts under one time axis, and the point in time at which they are read together.

use super::{
    line_chart::{LineChart, QUANTITIES},
    scale,
    state_chart::StateChart,
};
use crate::model::{
    connection::ConnectionId,
    history::{series::Bucket, view::HistoryView},
    time::UnixMillis,
};
use leptos::{ev, prelude::*};

/// What the charts share.
#[derive(Clone, Copy)]
pub struct ChartContext {
    /// What is shown.
    pub view: Signal<HistoryView>,
    /// The point in time that is read; the newest when `None`.
    pub cursor: RwSignal<Option<UnixMillis>>,
    /// The paths of the gaps; each of one connection, where there are several.
    pub gaps: Memo<Vec<(Option<ConnectionId>, String)>>,
    /// The path of the events.
    pub events: Memo<String>,
}

impl ChartContext {
    /// The charts of a view.
    #[must_use]
    pub fn new(view: Signal<HistoryView>) -> Self {
        Self {
            view,
            cursor: RwSignal::new(None),
            gaps: Memo::new(move |_| view.with(scale::gap_bands)),
            events: Memo::new(move |_| view.with(scale::event_lines)),
        }
    }

    /// The bucket at the point in time, or the newest one.
    #[must_use]
    pub fn place(&self) -> usize {
        let cursor = self.cursor.get();
        self.view.with(|view| {
            let last = view.length() - 1;
            cursor.map_or(last, |at| ((view.position(at) * view.length() as f64) as usize).min(last))
        })
    }

    /// A connection's bucket there. The newest one is not over yet: without a point in time, the one before is read when
    /// it is still empty.
    #[must_use]
    pub fn bucket_of(&self, id: ConnectionId) -> Option<Bucket> {
        let (place, is_newest) = (self.place(), self.cursor.with(Option::is_none));
        self.view.with(|view| {
            let buckets = &view.series.iter().find(|series| series.connection_id == id)?.buckets;
            let here = buckets.get(place)?;
            match buckets.get(place.wrapping_sub(1)) {
                Some(before) if is_newest && here.covered_ms == 0 => Some(*before),
                _ => Some(*here),
            }
        })
    }

    /// Where the point in time is, from 0 to 1; the middle of its bucket.
    #[must_use]
    pub fn cursor_position(&self) -> Option<f64> {
        self.cursor.get()?;
        let place = self.place();
        Some(self.view.with(|view| (place as f64 + 0.5) / view.length() as f64))
    }

    fn read_at(&self, place: usize) {
        let at = self.view.with_untracked(|view| {
            let at = view.bucket_at(place.min(view.length() - 1));
            UnixMillis(at.0 + view.bucket_ms() as i64 / 2)
        });
        self.cursor.set(Some(at));
    }
}

/// The charts. Moving the pointer over any of them, or the arrow keys on the time line, reads all of them.
#[component]
pub fn Charts(
    /// What all charts share.
    context: ChartContext,
) -> impl IntoView {
    let on_move = move |event: ev::PointerEvent| {
        if let Some(share) = share_of(&event) {
            let length = context.view.with_untracked(HistoryView::length);
            context.read_at((share * length as f64) as usize);
        }
    };
    view! {
        <div class="charts" data-testid="charts" on:pointermove=on_move on:pointerleave=move |_| context.cursor.set(None)>
            <EventLane context/>
            <TimeLine context/>
            <StateChart context/>
            {QUANTITIES.into_iter().map(|quantity| view! { <LineChart quantity context/> }).collect_view()}
        </div>
    }
}

/// How far to the right of a plot the pointer is, from 0 to 1; `None` when it is over none.
#[cfg(feature = "hydrate")]
fn share_of(event: &ev::PointerEvent) -> Option<f64> {
    use wasm_bindgen::JsCast;

    // Nothing inside a plot takes the pointer, so the target is the plot itself.
    let target: web_sys::Element = event.target()?.dyn_into().ok()?;
    let width = f64::from(target.client_width());
    (target.class_list().contains("plot") && width > 0.0).then(|| (f64::from(event.offset_x()) / width).clamp(0.0, 1.0))
}

#[cfg(not(feature = "hydrate"))]
fn share_of(_event: &ev::PointerEvent) -> Option<f64> {
    None
}

/// The time axis. A slider: its value is the point in time that all charts are read at.
#[component]
fn TimeLine(context: ChartContext) -> impl IntoView {
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
                context.cursor.set(None);
                return;
            }
            _ => return,
        };
        event.prevent_default();
        context.read_at(next);
    };
    let labels = Memo::new(move |_| view.with(scale::time_labels));
    let at = move || view.with(|view| scale::moment(view.bucket_at(context.place())));
    let text = move || [&at(), " UTC. ", &sentence(&context)].concat();
    view! {
        <div class="time-line">
            <p class="time-at number" data-testid="cursor">{move || [&at(), " UTC"].concat()}</p>
            <div
                class="time-slider"
                role="slider"
                tabindex="0"
                data-testid="time-line"
                aria-label="Point in time"
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
                    <super::line_chart::CursorLine context/>
                </svg>
            </div>
        </div>
    }
}

/// All charts at the point in time, as a screen reader says them.
fn sentence(context: &ChartContext) -> String {
    let names = context.view.with(|v| v.series.iter().map(|s| (s.connection_id, s.name.clone())).collect::<Vec<_>>());
    let mut text = String::new();
    for (id, name) in names {
        text.push_str(&name);
        match context.bucket_of(id).filter(|bucket| bucket.covered_ms > 0) {
            None => text.push_str(" no data"),
            Some(bucket) => {
                text.push(' ');
                text.push_str(bucket.worst().map_or("", crate::model::history::Phase::label));
                for quantity in QUANTITIES {
                    let value = (quantity.measures[0].of)(&bucket);
                    if value.is_some() {
                        text.push_str(
                            &[", ", &super::line_chart::value_text(value, quantity.decimals), " ", quantity.unit]
                                .concat(),
                        );
                    }
                }
            }
        }
        text.push_str(". ");
    }
    text
}

/// A mark for each event, which leads to its entry in the timeline.
#[component]
fn EventLane(context: ChartContext) -> impl IntoView {
    let marks = Memo::new(move |_| context.view.with(scale::marks));
    let slot = |mark: Option<scale::Mark>| match mark {
        None => view! { <span></span> }.into_any(),
        Some(mark) => view! {
            <a
                class="mark"
                href=["#", &mark.anchor].concat()
                // The browser's own: the router would scroll and leave the focus behind.
                rel="external"
                title=mark.text.clone()
                aria-label=mark.text
                data-many=(mark.count > 1).then_some("")
                data-testid="mark"
            ></a>
        }
        .into_any(),
    };
    view! {
        <nav class="event-lane" aria-label="Events on the time axis">
            {move || marks.get().into_iter().map(slot).collect_view()}
        </nav>
    }
}
